import keras
import numpy as np
import pytest

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.layers import AttributeHead
from keras_faramtn.objective import objective

GROUPS = AttributeGroups({"one": ["c"], "three": ["a", "d", "b"]}, attributes=list("abcd"))


def test_every_attribute_counts_alike_whatever_the_size_of_its_group():
    """From zero logits, half of each group right: all heads' biases get the same gradient."""
    images = keras.Input((2, 3, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    logits = {
        group: AttributeHead(
            GROUPS[group], GROUPS.positions(group), name=group, kernel_initializer="zeros"
        )(pooled)
        for group in GROUPS
    }
    model = keras.Model(images, logits)
    model.compile(keras.optimizers.SGD(1.0), **objective(GROUPS))
    labels = {group: np.ones((5, len(GROUPS[group])), "float32") for group in GROUPS}
    model.train_on_batch(np.zeros((5, 2, 3, 3)), labels)
    biases = np.concatenate([model.get_layer(group).get_weights()[1] for group in GROUPS])
    # d/dx softplus(-x) at 0 is -1/2; the mean over 4 attributes, times 2 groups.
    assert biases == pytest.approx([0.25] * 4, rel=1e-5)


def test_positive_weight_reaches_the_loss():
    weighted = objective(GROUPS, positive_weight=3.0)["loss"]["one"]
    assert float(weighted(np.ones((2, 1)), np.zeros((2, 1), "float32"))) == pytest.approx(
        3 * np.log(2), rel=1e-5
    )
