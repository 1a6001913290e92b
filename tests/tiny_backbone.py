"""A backbone of four convolutions, for tests that train complete networks of the package."""

import contextlib
from unittest import mock

import keras

from keras_faramtn.models.backbones import BACKBONES, Cut


def _build(include_top, input_tensor, input_shape, weights):
    """With the signature of a network of `keras.applications`."""
    assert (include_top, weights) == (False, None)
    x = keras.layers.Rescaling(1 / 127.5, -1)(input_tensor)
    for name, filters, stride in (
        ("stem", 4, 4),
        ("trunk", 6, 4),
        ("shared", 8, 2),
        ("last", 8, 1),
    ):
        x = keras.layers.Conv2D(filters, 3, stride, "same", use_bias=False, name=name)(x)
        x = keras.layers.BatchNormalization(name=f"{name}_normalization")(x)
        x = keras.layers.Activation("relu", name=f"{name}_relu")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@contextlib.contextmanager
def in_place_of_mobilenet():
    """The backbone `mobilenetv3_small` is the tiny one, whose training is traced in seconds."""
    cut = Cut("Tiny", "trunk_relu", "shared_relu", {})
    with (
        mock.patch.dict(BACKBONES, {"mobilenetv3_small": cut}),
        mock.patch.object(keras.applications, "Tiny", _build, create=True),
    ):
        yield
