"""Requests to TensorFlow Serving's REST API."""

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from keras_faramtn.errors import ServerError
from keras_faramtn.inference.serving_address import ServerAddress
from keras_faramtn.inference.serving_response import (
    CHECK_MODEL,
    MAX_RESPONSE_BYTES,
    TransientError,
    quote_message,
)
from keras_faramtn.inference.serving_signatures import Signature

# Too many requests, bad gateway, unavailable, gateway timeout.
_TRANSIENT_STATUS = {429, 502, 503, 504}
_CHUNK_BYTES = 64 * 1024


def connect_rest(
    address: ServerAddress, signature: Signature
) -> Callable[[list[bytes], float], list[Any]]:
    """Connects to the REST API; proxies are used as the environment demands.

    Args:
        address: of the scheme `http` or `https`.
        signature: a signature of the served model.

    Returns:
        A function that sends image files to the server in one request, and takes the seconds until
        the response must be complete. It returns the response for each image, a dict by output. It
        raises `TransientError`, `ServerError`, or a `ValueError` for a response in another format.
    """
    session = requests.Session()
    session.auth = address.credentials

    def send(encoded: list[bytes], seconds: float) -> list[Any]:
        instances = [{"b64": base64.b64encode(one).decode("ascii")} for one in encoded]
        request = {"signature_name": signature.name, "instances": instances}
        body = json.dumps(request).encode("ascii")
        content = _within(seconds, lambda: _post(session, address, body, seconds))
        try:
            return json.loads(content)["predictions"]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError("there are no `predictions`") from error

    return send


def _within(seconds: float, function: Callable[[], bytes]) -> bytes:
    """Runs `function`, but waits for its result at most some seconds.

    The timeout of `requests` is for each read from the socket: a server that sends one byte at a
    time is never late. An abandoned thread ends with its connection, or with the program.
    """
    outcome: Future[bytes] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        raise TransientError("the response was not complete in time") from error


def _post(session: requests.Session, address: ServerAddress, body: bytes, seconds: float) -> bytes:
    try:
        with session.post(
            f"{address}:predict",
            body,
            headers={"Content-Type": "application/json"},
            timeout=seconds,
            stream=True,
            allow_redirects=False,
        ) as response:
            content = _read(response, address)
    except requests.exceptions.SSLError as error:
        raise ServerError(
            f"{address}: no secure connection: {_reason(error)}. For a certificate of a private "
            "authority, set REQUESTS_CA_BUNDLE to the authority's certificate file."
        ) from error
    except requests.exceptions.ProxyError as error:
        raise TransientError(f"the proxy that the environment names: {_reason(error)}") from error
    except ValueError:  # its message may contain the proxy's password
        raise ServerError(
            f"{address}: the request can't be sent; check the address, and the proxies that the "
            "environment names (http_proxy, https_proxy)."
        ) from None
    except requests.RequestException as error:
        raise TransientError(_reason(error)) from error
    if response.status_code != 200:
        raise _failure(response, content, address)
    return content


def _read(response: requests.Response, address: ServerAddress) -> bytes:
    content = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_RESPONSE_BYTES:
            raise ServerError(
                f"{address}: the response has more than {MAX_RESPONSE_BYTES:,} bytes; {CHECK_MODEL}"
            )
    # A body whose length is not announced ends with the connection, perhaps early.
    announced = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
    if not announced and not content.rstrip().endswith(b"}"):
        raise TransientError("the response ended early, or is not JSON")
    return bytes(content)


def _failure(
    response: requests.Response, content: bytes, address: ServerAddress
) -> TransientError | ServerError:
    status = f"HTTP {response.status_code}"
    if response.is_redirect:
        target = urlsplit(response.headers["Location"])
        shown = target._replace(netloc=target.netloc.rpartition("@")[2], query="", fragment="")
        return ServerError(
            f"{address}: {status}: the server redirects to {quote_message(shown.geturl())}. "
            "Redirects are not followed; if you trust that server, use its address."
        )
    try:
        message = quote_message(f"{status}: {json.loads(content)['error']}")
    except (ValueError, TypeError, KeyError, RecursionError):
        message = quote_message(f"{status} {response.reason}")
    if response.status_code not in _TRANSIENT_STATUS:
        return ServerError(f"{address}: {message}; {CHECK_MODEL}")
    try:
        retry_after = urllib3.Retry().get_retry_after(response.raw) or 0.0
    except urllib3.exceptions.InvalidHeader:
        retry_after = 0.0
    return TransientError(message, retry_after)


def _reason(error: BaseException) -> str:
    """The first cause of an error of `requests`, whose own messages repeat internal objects."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return getattr(error, "strerror", None) or quote_message(str(error)) or type(error).__name__
