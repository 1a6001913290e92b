"""Small networks with random weights for the tests of explanations."""

import keras
import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models.heads import attach_heads

# Neither the groups nor the attributes are in alphabetical order.
GROUPS = AttributeGroups(
    {"mouth": ["smile", "open"], "age": ["young"], "eyes": ["glasses", "closed"]},
    attributes=["young", "smile", "glasses", "closed", "open"],
)
SIZE = (24, 36)


def small_network(*, attention=True, fusion=True, dropout=0.0):
    """Like `FARAMTN`, with three convolutions in place of a backbone; all weights are random."""
    images = keras.Input((*SIZE, 3), name="images")
    pixels = keras.layers.Rescaling(1 / 64, offset=-2)(images)
    trunk = keras.layers.Conv2D(10, 5, 6, "same", activation="relu", name="trunk")(pixels)
    shared = keras.layers.Conv2D(12, 3, 2, "same", activation="relu", name="shared")(trunk)
    last = keras.layers.Conv2D(14, 3, 1, "same", activation="silu", name="last")(shared)
    if attention:
        features = WSGSA(tuple(GROUPS), reduction=4, name="attention")(shared, last)
    else:
        features = dict.fromkeys(GROUPS, keras.layers.GlobalAveragePooling2D()(last))
    if fusion:
        features = CGFF(tuple(GROUPS), dim=6, heads=2, name="fusion")(features, trunk)
    return randomised(attach_heads(images, features, GROUPS, "small", dropout))


def randomised(model):
    """Sets random weights, so that no weight of zero or one hides an error."""
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, _scale(w.shape), w.shape) for w in model.get_weights()])
    return model


def _scale(shape):
    """Of a kernel, such that activations neither vanish nor saturate; of a bias, 0.4."""
    return 0.4 if len(shape) == 1 else 1.5 / np.sqrt(np.prod(shape[:-1]))


def random_images(count=3, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype="uint8")
