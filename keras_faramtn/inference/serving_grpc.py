"""Requests to TensorFlow Serving's gRPC API."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import numpy as np

from keras_faramtn.errors import ServerError
from keras_faramtn.inference.serving_address import ServerAddress
from keras_faramtn.inference.serving_messages import predict_request, serving_apis
from keras_faramtn.inference.serving_response import (
    CHECK_MODEL,
    MAX_RESPONSE_BYTES,
    TransientError,
    quote_message,
)
from keras_faramtn.inference.serving_signatures import Signature

_TRANSIENT_CODES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
_TOO_LARGE = "larger than max"  # of a message, reported as RESOURCE_EXHAUSTED too

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # The default delay before gRPC reconnects is longer than the retries of the client.
    ("grpc.initial_reconnect_backoff_ms", 100),
]


def connect_grpc(
    address: ServerAddress, signature: Signature
) -> Callable[[list[bytes], float], list[Any]]:
    """Connects to the gRPC API, with TLS for `grpcs`; gRPC finds proxies in the environment.

    Args:
        address: of the scheme `grpc` or `grpcs`.
        signature: a signature of the served model.

    Returns:
        A function as `connect_rest` returns.

    Raises:
        InputError: `tensorflow-serving-api` is not installed.
    """
    stubs = serving_apis().prediction_service_pb2_grpc
    import grpc
    import tensorflow as tf

    if address.scheme == "grpcs":
        credentials = grpc.ssl_channel_credentials()
        channel = grpc.secure_channel(address.grpc_target, credentials, _OPTIONS)
    else:
        channel = grpc.insecure_channel(address.grpc_target, _OPTIONS)
    stub = stubs.PredictionServiceStub(channel)

    def send(encoded: list[bytes], seconds: float) -> list[Any]:
        tensor = tf.make_tensor_proto(encoded, tf.string)
        request = predict_request(signature.name, signature.input, tensor, unquote(address.model))
        if address.version is not None:
            request.model_spec.version.value = address.version
        if address.label is not None:
            request.model_spec.version_label = unquote(address.label)
        try:
            response = stub.Predict(request, timeout=seconds)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
            message = quote_message(f"gRPC {code}: {details}")
            if code in _TRANSIENT_CODES and _TOO_LARGE not in details:
                raise TransientError(message) from error
            raise ServerError(f"{address}: {message}; {CHECK_MODEL}") from error
        return _read_response(response, signature)

    return send


def _read_response(response: Any, signature: Signature) -> list[Any]:
    outputs = {
        name: _read_output(response, name, kind, dimensions)
        for name, (kind, dimensions) in signature.outputs.items()
    }
    if len({len(output) for output in outputs.values()}) != 1:
        raise ValueError("the outputs have different numbers of rows")
    columns = {name: _plain(output.tolist(), name) for name, output in outputs.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any, output: str) -> Any:
    """Nested lists with strings in place of bytes."""
    if isinstance(value, list):
        return [_plain(element, output) for element in value]
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise ValueError(f"the output `{output}` is not UTF-8") from error


def _read_output(response: Any, name: str, dtype: str, dimensions: int) -> np.ndarray:
    import tensorflow as tf

    kind = tf.as_dtype(dtype)
    if name not in response.outputs:
        raise ValueError(f"the output `{name}` is missing")
    tensor = response.outputs[name]
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    if tensor.dtype != kind or len(shape) != dimensions:
        raise ValueError(f"the output `{name}` has another type or shape")
    # A short message can stand for a huge array: its last value is repeated.
    if min(shape) < 0 or np.prod(shape, dtype=float) * kind.size > MAX_RESPONSE_BYTES:
        raise ValueError(f"the output `{name}` has the shape {shape}")
    return tf.make_ndarray(tensor)
