"""Predicts images with a TensorFlow Serving server, as with a model file."""

import io

import numpy as np
from PIL import Image

from keras_faramtn.errors import ServerError
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.inference.serving_address import parse_address
from keras_faramtn.inference.serving_client import connect, query, query_images
from keras_faramtn.inference.serving_response import read_description
from keras_faramtn.inference.serving_signatures import IMAGE_FILES, RECORD
from keras_faramtn.model_record import ModelRecord

_TIMEOUT = 10.0  # seconds for a request, with all attempts
_BATCH_SIZE = 32


def load_served_model(server: str, *, timeout: float = _TIMEOUT) -> Predictor:
    """Connects to a TensorFlow Serving server that serves an exported SavedModel.

    The images are sent as PNG files of the size that the model takes.

    Args:
        server: as for `parse_address`.
        timeout: seconds until the response to a request must be complete, all attempts together.

    Raises:
        InputError: an invalid address, or a missing package.
        ServerError: the server does not respond in time, or serves another model. The predictor's
            `predict` raises it too.
    """
    address = parse_address(server)
    record, image_size = _describe(server, timeout)
    send = connect(address, IMAGE_FILES)

    def predict(images: np.ndarray) -> np.ndarray:
        rows = query_images(address, send, timeout, [_png(image) for image in images])
        for row in rows:
            if isinstance(row, str):
                raise ServerError(f"{address}: the server reports: {row}.")
            if tuple(row) != record.groups.attributes:
                raise ServerError(
                    f"{address}: it predicts other attributes than its record names; its model was "
                    "probably replaced. Start again."
                )
        return np.array([list(row.values()) for row in rows if isinstance(row, dict)], "float32")

    return Predictor(record, image_size, predict, _BATCH_SIZE)


def read_served_record(server: str, *, timeout: float = _TIMEOUT) -> ModelRecord:
    """The record of the model on a server.

    Args:
        server, timeout: as in `load_served_model`.

    Raises:
        InputError, ServerError: as in `load_served_model`.
    """
    return _describe(server, timeout)[0]


def _describe(server: str, timeout: float) -> tuple[ModelRecord, tuple[int, int]]:
    address = parse_address(server)
    return query(address, connect(address, RECORD), timeout, [b""], read_description)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
