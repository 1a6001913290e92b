"""Runs `.keras` files with Keras."""

from pathlib import Path

import numpy as np

from keras_faramtn.inference.padding import pad_batch
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord


def load_keras_file(path: Path) -> Predictor:
    """Loads a `.keras` file of this package for prediction.

    Raises:
        InputError: as in `load_model`.
    """
    from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE
    from keras_faramtn.models import inference_model, load_model
    from keras_faramtn.models.record import record_of

    model = load_model(path)
    inference = inference_model(model)
    sizes: set[int] = set()

    def predict(images: np.ndarray) -> np.ndarray:
        # Padded to a size that Keras has compiled the network for, if there is one.
        count = len(images)
        size = min((size for size in sizes if size >= count), default=count)
        sizes.add(size)
        return np.asarray(inference.predict_on_batch(pad_batch(images, size)))[:count]

    return Predictor(record_of(model), inference.input_shape[1:3], predict, EVALUATION_BATCH_SIZE)


def read_keras_record(path: Path) -> ModelRecord:
    """The record in a `.keras` file.

    Raises:
        InputError: as in `load_model`.
    """
    from keras_faramtn.models import load_model
    from keras_faramtn.models.record import record_of

    return record_of(load_model(path))
