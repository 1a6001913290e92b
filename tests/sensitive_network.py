"""A small network that tells faces apart, for tests that compare its answers elsewhere."""

import keras
import numpy as np

from keras_faramtn.attributes import FACE_REGIONS
from keras_faramtn.layers import AttributeHead
from keras_faramtn.models import FARAMTN, inference_model
from keras_faramtn.synthetic.dataset import draw_faces


def sensitive_network(size, groups=FACE_REGIONS, backbone="mobilenetv3_small"):
    """A network whose answers differ from image to image, as a trained one's do.

    Initial weights answer 0.5 to all images, and no comparison would see a wrong pixel. Here
    the batch normalisations have the true statistics of some faces, and the heads are sure.
    """
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = FARAMTN(backbone, groups, (*size, 3))
    normalizations = [
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momentum = normalizations[0].momentum
    for layer in normalizations:
        layer.momentum = 0.0  # takes on the statistics of the next batch
    faces = draw_faces(64, size)
    model(faces.astype("float32"), training=True)
    for layer in normalizations:
        layer.momentum = momentum
    fusion = model.get_layer("group_fusion").output_projection.kernel
    fusion.assign(rng.normal(0, 0.1, fusion.shape))
    for layer in model.layers:
        if isinstance(layer, AttributeHead):
            kernel, bias = layer.get_weights()
            layer.set_weights([2.5 * kernel, rng.choice([-2.0, 2.0], bias.shape)])
    assert inference_model(model).predict(faces, verbose=0).std(axis=0).mean() > 0.02
    return model
