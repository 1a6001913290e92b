"""Predicts image files with a TensorFlow Serving server."""

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

from keras_faramtn.data.images import find_images, load_upright, open_image
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.inference.predictions import Prediction, handle_bad_images
from keras_faramtn.inference.serving_messages import predict_request, serving_apis

# The signature of `keras_faramtn.export.saved_model.write_serving_model` that takes image files.
_SIGNATURE, _INPUT = "serve_bytes", "image_bytes"
_DEFAULT_MODEL = "faramtn"
_DEFAULT_GRPC_PORT = 8500

# The limits of a request. The server's largest batch is twice as many images.
_BATCH_IMAGES = 32
_BATCH_BYTES = 8 * 1024 * 1024

# Seconds between attempts, varied randomly by up to half so that many clients don't retry at once.
_RETRY_DELAYS = (0.25, 0.5, 1.0)

# Failures after which a retry may succeed, as HTTP (too many requests, bad gateway, unavailable,
# gateway timeout) and gRPC report them.
_TRANSIENT_STATUS = {429, 502, 503, 504}
_TRANSIENT_CODES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}

_CHECK_MODEL = "check that it serves a model that `faramtn export` wrote."

Row = dict[str, Any]
"""The response for one image: lists `probabilities` and `attributes`, and a string `error`."""

_Send = Callable[[list[bytes]], list[Row]]
"""Sends image files to the server in one request; returns the response for each."""


class _TransientError(Exception):
    """A failure after which a retry may succeed."""


def predict_on_server(
    server: str,
    images: Sequence[str | Path],
    *,
    timeout: float = 10.0,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[Prediction]:
    """Predicts image files with a TensorFlow Serving server that serves an exported SavedModel.

    JPEG and PNG files are sent unchanged. Other formats, and images with an EXIF orientation, are
    converted to upright PNG files. Requests are retried up to three times after failures that may
    be temporary.

    Args:
        server: `http://HOST:PORT/v1/models/NAME` (or https), or `grpc://HOST:PORT/NAME`; the
            default of the name is `faramtn`.
        images: image files, and folders of image files, as for `find_images`.
        timeout: seconds to wait for the response to a request with up to 32 images.
        skip_bad: log a warning for a bad image and continue, instead of raising its error.
        progress: show a progress bar on standard error if there are several images.

    Returns:
        Each image file with its probabilities in 0..1, by attribute in canonical order.

    Raises:
        InputError: an invalid address, a missing package, or a bad image.
        ServerError: the server does not respond in time, refuses the request, or sends an invalid
            response.
    """
    parts = urlsplit(server)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in _CONNECTIONS or not parts.hostname or port == 0:
        raise InputError(
            f"{server}: this is not a server address; give http://HOST:8501/v1/models/NAME or "
            "grpc://HOST:8500/NAME."
        )
    image_paths = find_images(images)
    send = _CONNECTIONS[parts.scheme](parts, timeout)
    results = _predict_batches(server, send, image_paths)
    return handle_bad_images(results, total=len(image_paths), skip_bad=skip_bad, progress=progress)


def _predict_batches(
    server: str, send: _Send, image_paths: list[Path]
) -> Iterator[tuple[Path, dict[str, float] | InputError]]:
    for batch in _batches(image_paths):
        encoded = [content for _, content in batch if isinstance(content, bytes)]
        responses = iter(_query(server, send, encoded) if encoded else [])
        for image_path, content in batch:
            result = content if isinstance(content, InputError) else next(responses)
            if isinstance(result, str):
                result = InputError(f"{image_path}: the server reports: {result}.")
            yield image_path, result


def _batches(image_paths: list[Path]) -> Iterator[list[tuple[Path, bytes | InputError]]]:
    batch: list[tuple[Path, bytes | InputError]] = []
    size = 0
    for image_path in image_paths:
        try:
            content: bytes | InputError = _encode(image_path)
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


def _encode(image_path: Path) -> bytes:
    """The image as a file that the server decodes to the same pixels as `load_image`."""
    try:
        with open_image(image_path) as image:
            orientation = image.getexif().get(0x0112, 1)
            if image.format in {"JPEG", "MPO", "PNG"} and orientation == 1:
                return image_path.read_bytes()
    except UnidentifiedImageError as error:
        raise InputError(f"{image_path}: this file can't be read as an image.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass  # `load_upright` reports the problem
    file = io.BytesIO()
    load_upright(image_path).save(file, "PNG")
    return file.getvalue()


def _query(server: str, send: _Send, encoded: list[bytes]) -> list[dict[str, float] | str]:
    """Queries the server; returns for each image its probabilities by attribute, or its error."""
    for delay in (*_RETRY_DELAYS, 0):
        try:
            results = [_read_row(row) for row in send(encoded)]
            break
        except _TransientError as error:
            failure = error
            time.sleep(delay * random.uniform(0.5, 1.5))
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(f"{server}: the response can't be read; {_CHECK_MODEL}") from error
    else:
        raise ServerError(
            f"{server}: no response in {len(_RETRY_DELAYS) + 1} attempts: {failure}. Check that "
            "the server is running and the address is right. A slow server needs a longer timeout."
        ) from failure
    if len(results) != len(encoded):
        raise ServerError(
            f"{server}: {len(results)} predictions for {len(encoded)} images; {_CHECK_MODEL}"
        )
    return results


def _read_row(row: Row) -> dict[str, float] | str:
    if row["error"]:
        return str(row["error"])
    return dict(zip(row["attributes"], map(float, row["probabilities"]), strict=True))


def _connect_rest(parts: SplitResult, timeout: float) -> _Send:
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
            message = _error_message(error)
            if error.code in _TRANSIENT_STATUS:
                raise _TransientError(message) from error
            raise ServerError(f"{url}: {message}; {_CHECK_MODEL}") from error
        except urllib.error.URLError as error:
            raise _TransientError(error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise _TransientError(error or type(error).__name__) from error
        return json.loads(content)["predictions"]

    return send


def _error_message(error: urllib.error.HTTPError) -> str:
    try:
        return f"HTTP {error.code}: {json.loads(error.read())['error']}"
    except (ValueError, TypeError, KeyError, OSError):
        return f"HTTP {error.code} {error.reason}"


def _connect_grpc(parts: SplitResult, timeout: float) -> _Send:
    stubs = serving_apis().prediction_service_pb2_grpc
    import grpc
    import tensorflow as tf

    target = parts.netloc if parts.port else f"{parts.netloc}:{_DEFAULT_GRPC_PORT}"
    # The default delay before gRPC reconnects is longer than the retries here.
    channel = grpc.insecure_channel(target, [("grpc.initial_reconnect_backoff_ms", 100)])
    stub = stubs.PredictionServiceStub(channel)
    model = parts.path.strip("/") or _DEFAULT_MODEL

    def send(encoded: list[bytes]) -> list[Row]:
        tensor = tf.make_tensor_proto(encoded, tf.string)
        request = predict_request(_SIGNATURE, _INPUT, tensor, model)
        try:
            response = stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            message = f"gRPC {error.code().name}: {error.details()}"
            if error.code().name in _TRANSIENT_CODES:
                raise _TransientError(message) from error
            raise ServerError(f"{parts.geturl()}: {message}; {_CHECK_MODEL}") from error
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


_CONNECTIONS: dict[str, Callable[[SplitResult, float], _Send]] = {
    "http": _connect_rest,
    "https": _connect_rest,
    "grpc": _connect_grpc,
}
