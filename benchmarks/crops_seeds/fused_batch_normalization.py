"""Makes Keras's batch normalisation train with TensorFlow's fused operation.

Keras computes it with about ten operations on the whole feature map, each of which reads the map
from memory.
"""

from typing import Any

import keras
import tensorflow as tf

_call = keras.layers.BatchNormalization.call


def _fused_call(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    if not (training and layer.trainable and mask is None and inputs.shape.rank == 4):
        return _call(layer, inputs, training=training, mask=mask)
    normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
    )
    # TensorFlow returns the variance with Bessel's correction, which Keras doesn't apply.
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
    for moving, batch in (
        (layer.moving_mean, mean),
        (layer.moving_variance, variance * (count - 1) / count),
    ):
        moving.assign(moving * layer.momentum + batch * (1 - layer.momentum))
    return normalized


def use_fused_batch_normalization() -> None:
    """Changes all layers of this process; call it before networks are trained."""
    keras.layers.BatchNormalization.call = _fused_call
