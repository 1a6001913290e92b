"""A client of TensorFlow Serving: image files to a server, named probabilities back."""

import base64
import http.client
import io
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from PIL import Image, UnidentifiedImageError

from keras_faramtn.data.images import find_images, load_upright
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.inference.output import Prediction, skip_or_raise
from keras_faramtn.inference.serving_messages import predict_request, serving_apis

# The signature of `keras_faramtn.export.saved_model.write_serving_model` that takes files.
_SIGNATURE, _INPUT = "serve_bytes", "image_bytes"
_DEFAULT_MODEL = "faramtn"
_DEFAULT_GRPC_PORT = 8500

# A request's limits: the server's largest batch is twice as many images.
_BATCH_IMAGES = 32
_BATCH_BYTES = 8 * 1024 * 1024

# Seconds to wait after each failed attempt but the last, give or take a half so that many clients
# don't come back at once.
_PAUSES = (0.25, 0.5, 1.0)

# HTTP: too many requests, bad gateway, unavailable, gateway time-out. gRPC: the names of the same.
_TRANSIENT_STATUS = {429, 502, 503, 504}
_TRANSIENT_CODES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}

_NOT_OURS = "is a model served there that `faramtn export` made?"

Row = dict[str, Any]
"""An image's answer: `probabilities` and `attributes`, lists, and `error`, a string."""


class _TransientError(Exception):
    """Another attempt may succeed."""


def predict_on_server(
    server: str,
    places: Sequence[str | Path],
    *,
    timeout: float = 10.0,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[Prediction]:
    """Predicts image files on a TensorFlow Serving that serves an exported SavedModel.

    JPEG and PNG files are sent as they are; others, and those that their camera took turned, as
    PNG files made of them. An attempt that fails for a reason that may pass is repeated up to
    three times.

    Args:
        server: `http://HOST:PORT/v1/models/NAME` (https also), or `grpc://HOST:PORT/NAME`; the
            name is `faramtn` where it is left out.
        places: images, and folders of images, as `find_images` takes.
        timeout: seconds to wait for the answer of a request of up to 32 images.
        skip_bad, progress: as in `skip_or_raise`.

    Returns:
        Each image with its probabilities, in 0..1, by attribute in canonical order.

    Raises:
        InputError: another kind of address, a missing package, or a bad image.
        ServerError: no answer in time after all attempts, a refusal, or an answer that makes no
            sense.
    """
    parts = urlsplit(server)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in _CONNECTIONS or not parts.hostname or port == 0:
        raise InputError(
            f"{server}: this is no server's address; give http://HOST:8501/v1/models/NAME or "
            "grpc://HOST:8500/NAME."
        )
    paths = find_images(places)
    send = _CONNECTIONS[parts.scheme](parts, timeout)
    answers = _answers(server, send, paths)
    return skip_or_raise(answers, total=len(paths), skip_bad=skip_bad, progress=progress)


def _answers(
    server: str, send: Callable[[list[bytes]], list[Row]], paths: list[Path]
) -> Iterator[tuple[Path, dict[str, float] | InputError]]:
    for batch in _batches(paths):
        encoded = [content for _, content in batch if isinstance(content, bytes)]
        answers = iter(_ask(server, send, encoded) if encoded else [])
        for image_path, content in batch:
            answer = content if isinstance(content, InputError) else next(answers)
            if isinstance(answer, str):
                answer = InputError(f"{image_path}: the server says: {answer}.")
            yield image_path, answer


def _batches(paths: list[Path]) -> Iterator[list[tuple[Path, bytes | InputError]]]:
    batch: list[tuple[Path, bytes | InputError]] = []
    size = 0
    for image_path in paths:
        try:
            content: bytes | InputError = _encoded(image_path)
        except InputError as error:
            content = error
        length = len(content) if isinstance(content, bytes) else 0
        if batch and (len(batch) == _BATCH_IMAGES or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((image_path, content))
        size += length
    if batch:
        yield batch


def _encoded(image_path: Path) -> bytes:
    """The image as a file that the server reads as `load_image` does."""
    try:
        with Image.open(image_path) as image:
            orientation = image.getexif().get(0x0112, 1)
            if image.format in {"JPEG", "MPO", "PNG"} and orientation == 1:
                return image_path.read_bytes()
    except UnidentifiedImageError as error:
        raise InputError(f"{image_path}: this can't be read as an image.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass  # `load_upright` says what is wrong
    file = io.BytesIO()
    load_upright(image_path).save(file, "PNG")
    return file.getvalue()


def _ask(
    server: str, send: Callable[[list[bytes]], list[Row]], encoded: list[bytes]
) -> list[dict[str, float] | str]:
    """For each image its probabilities by attribute, or what the server has against it."""
    for pause in (*_PAUSES, 0):
        try:
            answers = [_read(row) for row in send(encoded)]
            break
        except _TransientError as error:
            failure = error
            time.sleep(pause * random.uniform(0.5, 1.5))
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(f"{server}: the answer can't be read; {_NOT_OURS}") from error
    else:
        raise ServerError(
            f"{server}: no answer in {len(_PAUSES) + 1} attempts: {failure}. Is the server up, and "
            "the address right? A slow server needs a longer time-out."
        ) from failure
    if len(answers) != len(encoded):
        raise ServerError(f"{server}: {len(answers)} answers to {len(encoded)} images; {_NOT_OURS}")
    return answers


def _read(row: Row) -> dict[str, float] | str:
    if row["error"]:
        return str(row["error"])
    return dict(zip(row["attributes"], map(float, row["probabilities"]), strict=True))


def _connect_rest(parts: SplitResult, timeout: float) -> Callable[[list[bytes]], list[Row]]:
    path = parts.path.rstrip("/").removesuffix(":predict") or f"/v1/models/{_DEFAULT_MODEL}"
    url = f"{parts.scheme}://{parts.netloc}{path}:predict"

    def send(encoded: list[bytes]) -> list[Row]:
        instances = [{"b64": base64.b64encode(one).decode("ascii")} for one in encoded]
        body = json.dumps({"signature_name": _SIGNATURE, "instances": instances}).encode("ascii")
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            said = _said(error)
            if error.code in _TRANSIENT_STATUS:
                raise _TransientError(said) from error
            raise ServerError(f"{url}: {said}; {_NOT_OURS}") from error
        except urllib.error.URLError as error:
            raise _TransientError(error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise _TransientError(error or type(error).__name__) from error
        return json.loads(content)["predictions"]

    return send


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return f"HTTP {error.code}: {json.loads(error.read())['error']}"
    except (ValueError, TypeError, KeyError, OSError):
        return f"HTTP {error.code} {error.reason}"


def _connect_grpc(parts: SplitResult, timeout: float) -> Callable[[list[bytes]], list[Row]]:
    stubs = serving_apis().prediction_service_pb2_grpc
    import grpc
    import tensorflow as tf

    target = parts.netloc if parts.port else f"{parts.netloc}:{_DEFAULT_GRPC_PORT}"
    # The channel's own pause between attempts to connect would outlast ours.
    channel = grpc.insecure_channel(target, [("grpc.initial_reconnect_backoff_ms", 100)])
    stub = stubs.PredictionServiceStub(channel)
    model = parts.path.strip("/") or _DEFAULT_MODEL

    def send(encoded: list[bytes]) -> list[Row]:
        tensor = tf.make_tensor_proto(encoded, tf.string)
        request = predict_request(_SIGNATURE, _INPUT, tensor, model)
        try:
            response = stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            said = f"gRPC {error.code().name}: {error.details()}"
            if error.code().name in _TRANSIENT_CODES:
                raise _TransientError(said) from error
            raise ServerError(f"{parts.geturl()}: {said}; {_NOT_OURS}") from error
        outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
        columns = zip(
            outputs["probabilities"], outputs["attributes"], outputs["error"], strict=True
        )
        return [
            {
                "probabilities": probabilities.tolist(),
                "attributes": [name.decode() for name in attributes],
                "error": error.decode(),
            }
            for probabilities, attributes, error in columns
        ]

    return send


_CONNECTIONS: dict[str, Callable[[SplitResult, float], Callable[[list[bytes]], list[Row]]]] = {
    "http": _connect_rest,
    "https": _connect_rest,
    "grpc": _connect_grpc,
}
