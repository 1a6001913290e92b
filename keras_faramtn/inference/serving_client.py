"""Predicts image files with a TensorFlow Serving server."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tenacity

from keras_faramtn.data.images import encoded_for_tensorflow, find_images
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.inference.predictions import (
    Prediction,
    check_probabilities,
    handle_bad_images,
)
from keras_faramtn.inference.serving_address import ServerAddress, parse_address
from keras_faramtn.inference.serving_grpc import connect_grpc
from keras_faramtn.inference.serving_response import CHECK_MODEL, TransientError, read_rows
from keras_faramtn.inference.serving_rest import connect_rest
from keras_faramtn.inference.serving_signatures import IMAGE_FILES, Signature

# The limits of a request. The server's largest batch is twice as many images.
_BATCH_IMAGES = 32
_BATCH_BYTES = 8 * 1024 * 1024

_ATTEMPTS = 4
# Seconds between attempts, random so that many clients don't retry at the same moment: from the
# minimum to a limit that doubles with each attempt.
_BACKOFF = tenacity.wait_random_exponential(multiplier=0.25, min=0.1, max=2.0)

_MAX_TIMEOUT = 24 * 60 * 60.0

Send = Callable[[list[bytes], float], list[Any]]
"""Sends strings, such as image files, to the server in one request; takes the seconds until the
response must be complete."""

Response = TypeVar("Response")


def predict_on_server(
    server: str,
    images: Sequence[str | Path],
    *,
    timeout: float = 10.0,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[Prediction]:
    """Predicts image files with a TensorFlow Serving server that serves an exported SavedModel.

    JPEG and PNG files are sent unchanged; the exported graph turns them upright. Other formats are
    converted to upright PNG files. Requests are repeated up to three times, with increasing delays
    or those that the server requests, if the server can't be reached, is overloaded, or does not
    complete its response. Redirects are not followed.

    Args:
        server: `http://HOST:PORT/v1/models/NAME` or `grpc://HOST:PORT/NAME`, with `https` and
            `grpcs` for TLS; the name defaults to `faramtn`. See `parse_address`.
        images: image files, and folders of image files, as for `find_images`.
        timeout: seconds until the response to a request with up to 32 images must be complete, all
            attempts together.
        skip_bad: log a warning for a bad image and continue, instead of raising its error.
        progress: show a progress bar on standard error if there are several images.

    Returns:
        Each image file with its probabilities in 0..1, by attribute in canonical order.

    Raises:
        InputError: an invalid address or timeout, a missing package, or a bad image.
        ServerError: the server does not respond in time, rejects the request, or sends an invalid
            response.

    Example:
        >>> predict_on_server("ftp://localhost/faramtn", ["face.jpg"])
        Traceback (most recent call last):
            ...
        keras_faramtn.errors.InputError: ...
        >>> for path, probabilities in predict_on_server(
        ...     "http://localhost:8501/v1/models/faramtn", ["face.jpg"]
        ... ):  # doctest: +SKIP
        ...     print(path, probabilities["Smiling"])
    """
    address = parse_address(server)
    if not 0 < timeout <= _MAX_TIMEOUT:
        raise InputError(
            f"timeout: {timeout} is not a number of seconds between 0 and {_MAX_TIMEOUT:,.0f}."
        )
    image_paths = find_images(images)
    results = _predict_batches(address, connect(address, IMAGE_FILES), timeout, image_paths)
    return handle_bad_images(results, total=len(image_paths), skip_bad=skip_bad, progress=progress)


def _predict_batches(
    address: ServerAddress, send: Send, timeout: float, image_paths: list[Path]
) -> Iterator[tuple[Path, dict[str, float] | InputError]]:
    attributes: tuple[str, ...] | None = None
    for batch in _batches(image_paths):
        encoded = [content for _, content in batch if isinstance(content, bytes)]
        responses = iter(query_images(address, send, timeout, encoded) if encoded else [])
        for image_path, content in batch:
            result = content if isinstance(content, InputError) else next(responses)
            if isinstance(result, str):
                yield image_path, InputError(f"{image_path}: the server reports: {result}.")
            elif isinstance(result, InputError):
                yield image_path, result
            else:
                attributes = attributes or tuple(result)
                if set(result) != set(attributes):
                    raise ServerError(
                        f"{address}: its attributes for {image_path} differ from those for "
                        "earlier images; its model was probably replaced. Start again."
                    )
                probabilities = {name: result[name] for name in attributes}
                try:
                    check_probabilities(
                        image_path, attributes, np.array([[*probabilities.values()]])
                    )
                except InputError as error:
                    yield image_path, error
                else:
                    yield image_path, probabilities


def _batches(image_paths: list[Path]) -> Iterator[list[tuple[Path, bytes | InputError]]]:
    batch: list[tuple[Path, bytes | InputError]] = []
    size = 0
    for image_path in image_paths:
        try:
            content: bytes | InputError = encoded_for_tensorflow(image_path)
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


def query_images(
    address: ServerAddress, send: Send, timeout: float, encoded: list[bytes]
) -> list[dict[str, float] | str]:
    """Predicts image files with one request, as `query`.

    Returns:
        For each image its probabilities by attribute, or its error.
    """
    return query(address, send, timeout, encoded, lambda rows: read_rows(rows, len(encoded)))


def connect(address: ServerAddress, signature: Signature) -> Send:
    """Connects to a signature of the served model, with REST or gRPC.

    Raises:
        InputError: a package is missing.
    """
    return (connect_rest if address.rest else connect_grpc)(address, signature)


def query(
    address: ServerAddress,
    send: Send,
    timeout: float,
    strings: list[bytes],
    read: Callable[[list[Any]], Response],
) -> Response:
    """Queries the server; repeats the request after transient failures.

    Args:
        address: for messages.
        send: from `connect`.
        timeout: seconds for all attempts.
        strings: what is sent, at most 32 strings.
        read: reads the response; raises a `ValueError` if it has another form.

    Raises:
        ServerError: as in `predict_on_server`.
    """
    deadline = time.monotonic() + timeout
    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_before_delay(timeout),
        wait=_delay,
        retry=tenacity.retry_if_exception_type(TransientError),
        reraise=True,
    )
    try:
        return read(attempts(lambda: send(strings, max(deadline - time.monotonic(), 1e-3))))
    except TransientError as error:
        number = attempts.statistics["attempt_number"]
        raise ServerError(
            f"{address}: no response in {number} attempt{'' if number == 1 else 's'}: {error}. "
            "Check that the server is running and that the address is right. A slow server needs a "
            f"longer timeout than {timeout:g} s."
        ) from error
    except ValueError as error:
        raise ServerError(
            f"{address}: the response can't be read: {error}; {CHECK_MODEL}"
        ) from error


def _delay(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(_BACKOFF(state), getattr(error, "retry_after", 0.0))
