"""TensorFlow Serving's protobuf messages, from the optional package `tensorflow-serving-api`."""

import importlib
from types import ModuleType
from typing import Any

from keras_faramtn.errors import InputError

_MODULES = ("predict_pb2", "prediction_log_pb2", "prediction_service_pb2_grpc")


def serving_apis() -> ModuleType:
    """Imports `tensorflow_serving.apis` with the submodules that this package uses.

    This imports TensorFlow too, because the messages contain messages of TensorFlow.

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
    """Builds a `PredictRequest` with one input.

    Args:
        signature: the signature of the served model.
        name: the input's name in the signature.
        tensor: a `TensorProto`.
        model: the model's name on the server; a warm-up request needs none.

    Raises:
        InputError: as in `serving_apis`.
    """
    request = serving_apis().predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs[name].CopyFrom(tensor)
    return request
