"""A small network whose predictions differ from face to face, for comparisons elsewhere."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_faramtn.attributes import FACE_REGIONS
from keras_faramtn.layers import CGFF, AttributeHead
from keras_faramtn.models import FARAMTN, inference_model
from keras_faramtn.synthetic.faces import draw_faces


def sensitive_network(size, groups=FACE_REGIONS, backbone="mobilenetv3_small"):
    """Builds a network whose predictions differ from image to image, as after training."""
    keras.utils.set_random_seed(0)
    return make_sensitive(FARAMTN(backbone, groups, (*size, 3)))


def make_sensitive(model):
    """Changes the weights of an initial network so that its predictions differ; returns it.

    With its initial weights, a network predicts 0.5 for all images, and no comparison could detect
    a wrong pixel. Here the batch normalisations get the true statistics of some faces, and the
    heads predict far from 0.5.
    """
    rng = np.random.default_rng(0)
    layers = list(_all_layers(model))
    normalizations = [
        layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momentum = normalizations[0].momentum
    for layer in normalizations:
        layer.momentum = 0.0  # adopts the statistics of the next batch
    faces = draw_faces(64, model.input_shape[1:3])
    model(faces.astype("float32"), training=True)
    for layer in normalizations:
        layer.momentum = momentum
    for layer in layers:
        if isinstance(layer, CGFF):
            kernel = layer.output_projection.kernel
            kernel.assign(rng.normal(0, 0.1, kernel.shape))
    for layer in layers:
        if isinstance(layer, AttributeHead):
            kernel, bias = layer.get_weights()
            layer.set_weights([2.5 * kernel, rng.choice([-2.0, 2.0], bias.shape)])
    probabilities = np.asarray(inference_model(model)(faces.astype("float32"), training=False))
    assert probabilities.std(axis=0).mean() > 0.02
    return model


def _all_layers(model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer
