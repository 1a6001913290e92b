"""Writes the files that Keras loads from a folder, and from the Hugging Face hub."""

from pathlib import Path

import keras
import numpy as np

from keras_faramtn.models import inference_model, load_model


def write_keras_files(model: keras.Model, weights_file: Path) -> None:
    """Writes a network as Keras does with `zipped=False`, without what it was compiled with.

    Args:
        model: a network of this package; unlike in the other exported files, its outputs are
            logits, so that training can continue.
        weights_file: a path whose name is `WEIGHTS_FILE`; the other `KERAS_FILES` are written to
            the same folder.
    """
    if model.compiled:
        weights = model.get_weights()
        model = type(model).from_config(model.get_config())  # `clone_model` compiles the copy too
        model.set_weights(weights)
    folder = weights_file.parent
    keras.saving.save_model(model, folder, zipped=False)
    assets = folder / "assets"  # of layers with vocabularies and the like
    if assets.is_dir() and not any(assets.iterdir()):
        assets.rmdir()


def run_keras_files(weights_file: Path, images: np.ndarray) -> np.ndarray:
    """Loads what `write_keras_files` wrote, and predicts images; returns the probabilities."""
    model = inference_model(load_model(weights_file.parent))
    return np.asarray(model.predict(images, verbose=0))
