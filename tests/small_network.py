"""A network that compiles in a second, and its training, for tests and their subprocesses."""

import contextlib
import io
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS
from keras_faramtn.experiments import network, trainer
from keras_faramtn.experiments.recipe import Recipe
from keras_faramtn.layers import FaceFraming
from keras_faramtn.models.heads import attach_heads

SIZE = (32, 40)
COUNT = 48
# Two groups, because TensorFlow traces every head with its loss and its metrics.
GROUPS = {
    "hair": list(FACE_REGIONS["hair"]),
    "other": [name for name in CELEBA_ATTRIBUTES if name not in FACE_REGIONS["hair"]],
}


def small_network(model, input_shape):
    """A small replacement for a backbone's network: a normalised strided convolution and heads."""
    images = keras.Input(input_shape, name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1)(FaceFraming(name="framing")(images))
    x = keras.layers.Conv2D(8, 8, strides=8, use_bias=False)(x)
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    groups = model.attribute_groups()
    return attach_heads(images, dict.fromkeys(groups, x), groups, "small", model.dropout)


@contextlib.contextmanager
def in_place_of_faramtn():
    """Recipes of `faramtn` build the small network."""
    original = network._NETWORKS["faramtn"]
    network._NETWORKS["faramtn"] = small_network
    try:
        yield
    finally:
        network._NETWORKS["faramtn"] = original


def recipe(**training):
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 0.05, "warmup": 0.01, **training}
    return Recipe.model_validate(
        {
            "data": {"image_size": list(SIZE)},
            "model": {"backbone": "mobilenetv3_small", "groups": GROUPS},
            "training": settings,
        }
    )


def batches(batch_size):
    """Random images whose labels depend on their colours; all labels known."""
    rng = np.random.default_rng(4)
    colours = rng.integers(0, 256, (COUNT, 1, 1, 3))
    images = (colours + rng.integers(-40, 40, (COUNT, *SIZE, 3))).clip(0, 255)
    truth = colours[:, 0, 0] > 127.5
    labels = {
        group: truth[:, np.arange(len(members)) % 3].astype("float32")
        for group, members in GROUPS.items()
    }
    return tf.data.Dataset.from_tensor_slices((images.astype("uint8"), labels)).batch(batch_size)


def train(folder, initial=None, **training):
    """Trains the small network; returns history and model. `initial` are weights to begin with."""
    Path(folder).mkdir(exist_ok=True)
    settings = recipe(**training)
    with in_place_of_faramtn():
        model = trainer.build_model(settings)
    if initial is not None:
        model.set_weights(initial)
    data = batches(settings.training.batch_size)
    with contextlib.redirect_stdout(io.StringIO()), in_place_of_faramtn():
        history = trainer.fit_model(model, settings, data, batches(16), Path(folder))
    return history, model


def initial_weights():
    """The same weights for every backend, because their random generators differ."""
    rng = np.random.default_rng(8)
    model = small_network(recipe().model, (*SIZE, 3))
    names = [weight.path.rsplit("/", 1)[-1] for weight in model.weights]
    return [
        np.abs(rng.normal(size=w.shape, scale=0.1)).astype("float32") + 1
        if name in ("gamma", "moving_variance")
        else rng.normal(size=w.shape, scale=0.1).astype("float32")
        for name, w in zip(names, model.get_weights(), strict=True)
    ]
