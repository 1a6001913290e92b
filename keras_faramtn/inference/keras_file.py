"""Runs networks of this package, and their `.keras` files, with Keras."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_faramtn.inference.padding import pad_batch
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord

if TYPE_CHECKING:
    import keras

_BATCH_SIZE = 64


def load_keras_file(path: Path) -> Predictor:
    """Loads a `.keras` file of this package for prediction.

    Raises:
        InputError: as in `load_model`.
    """
    from keras_faramtn.models import load_model

    return predictor_of(load_model(path))


def predictor_of(model: "keras.Model") -> Predictor:
    """A network of this package as a model for prediction.

    Args:
        model: a network, or what `inference_model` returned for one.

    Raises:
        InputError: the model isn't one of this package.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> predictor = predictor_of(MultiLabel("mobilenetv3_small", ["Smiling"], (32, 48, 3)))
        >>> predictor.image_size, predictor.predict(np.zeros((2, 32, 48, 3), "uint8")).shape
        ((32, 48), (2, 1))
    """
    from keras_faramtn.models import inference_model
    from keras_faramtn.models.record import record_of

    inference = inference_model(model)
    sizes: set[int] = set()

    def predict(images: np.ndarray) -> np.ndarray:
        # Padded to a size that Keras has compiled the network for, if there is one.
        count = len(images)
        size = min((size for size in sizes if size >= count), default=count)
        sizes.add(size)
        return np.asarray(inference.predict_on_batch(pad_batch(images, size)))[:count]

    return Predictor(record_of(model), inference.input_shape[1:3], predict, _BATCH_SIZE)


def read_keras_record(path: Path) -> ModelRecord:
    """The record in a `.keras` file.

    Raises:
        InputError: as in `load_model`.
    """
    from keras_faramtn.models import load_model
    from keras_faramtn.models.record import record_of

    return record_of(load_model(path))
