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

_TRANSIENT_CODES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
_TOO_LARGE = "larger than max"  # of a message, reported as RESOURCE_EXHAUSTED too

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # The default delay before gRPC reconnects is longer than the retries of the client.
    ("grpc.initial_reconnect_backoff_ms", 100),
]


def connect_grpc(
    address: ServerAddress, signature: str, input_name: str
) -> Callable[[list[bytes], float], list[Any]]:
    """Connects to the gRPC API, with TLS for `grpcs`; gRPC finds proxies in the environment.

    Args:
        address: of the scheme `grpc` or `grpcs`.
        signature: a signature of the served model.
        input_name: the signature's input.

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
        request = predict_request(signature, input_name, tensor, unquote(address.model))
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
        return _read_response(response)

    return send


def _read_response(response: Any) -> list[Any]:
    import tensorflow as tf

    probabilities = _read_output(response, "probabilities", tf.float32)
    attributes = _read_output(response, "attributes", tf.string)
    errors = _read_output(response, "error", tf.string)
    if not len(probabilities) == len(attributes) == len(errors):
        raise ValueError("the outputs have different numbers of rows")
    try:
        return [
            {
                "probabilities": row.tolist(),
                "attributes": [name.decode() for name in names],
                "error": error.decode(),
            }
            for row, names, error in zip(probabilities, attributes, errors, strict=True)
        ]
    except UnicodeDecodeError as error:
        raise ValueError("an attribute's name or an error is not UTF-8") from error


def _read_output(response: Any, name: str, kind: Any) -> np.ndarray:
    import tensorflow as tf

    if name not in response.outputs:
        raise ValueError(f"the output `{name}` is missing")
    tensor = response.outputs[name]
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    if tensor.dtype != kind or len(shape) != (1 if name == "error" else 2):
        raise ValueError(f"the output `{name}` has another type or shape")
    # A short message can stand for a huge array: its last value is repeated.
    if min(shape) < 0 or np.prod(shape, dtype=float) * kind.size > MAX_RESPONSE_BYTES:
        raise ValueError(f"the output `{name}` has the shape {shape}")
    return tf.make_ndarray(tensor)
