"""TensorFlow Serving's protocol buffers, from the optional package `tensorflow-serving-api`."""

import importlib
from types import ModuleType
from typing import Any

from keras_faramtn.errors import InputError

_MODULES = ("predict_pb2", "prediction_log_pb2", "prediction_service_pb2_grpc")


def serving_apis() -> ModuleType:
    """`tensorflow_serving.apis`, with the modules that this package uses loaded in it.

    TensorFlow is imported with it: the messages hold TensorFlow's.

    Raises:
        InputError: `tensorflow-serving-api` is not installed.
    """
    try:
        for module in _MODULES:
            importlib.import_module(f"tensorflow_serving.apis.{module}")
    except ModuleNotFoundError as error:
        raise InputError(
            "TensorFlow Serving's messages need the package tensorflow-serving-api: "
            "pip install 'keras-faramtn[serving]'."
        ) from error
    return importlib.import_module("tensorflow_serving.apis")


def predict_request(signature: str, name: str, tensor: Any, model: str = "") -> Any:
    """A `PredictRequest` with one input.

    Args:
        signature: of the served model.
        name: the input's name in the signature.
        tensor: a `TensorProto`.
        model: what the server calls the model; a warm-up request needs none.

    Raises:
        InputError: as `serving_apis`.
    """
    request = serving_apis().predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs[name].CopyFrom(tensor)
    return request
