"""Muon for networks of convolutions: from scratch it learns faster than AdamW."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class ConvolutionMuon(keras.optimizers.Muon):
    """`keras.optimizers.Muon` that takes the kernels of convolutions too.

    Muon (Jordan, https://kellerjordan.github.io/posts/muon, 2024) makes the update of a matrix
    orthogonal, so that all of its directions are learned at one pace. A convolution's kernel
    `(height, width, in, out)` is the matrix `(height * width * in, out)`, as there; Keras's own
    leaves it to AdamW, as both do with all that is no matrix: biases, the scales of normalisations,
    and depthwise kernels. `exclude_layers` should name the heads, as its author advises.

    Args:
        learning_rate: a number or a schedule; updates are as large as AdamW's at the same rate
            (Liu et al., arXiv 2502.16982).
        weight_decay: of all but those excluded by `exclude_from_weight_decay`; 0 for none.
        **kwargs: the other arguments of `keras.optimizers.Muon`.
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **kwargs: Any
    ) -> None:
        # One decay for both of Muon's kinds of step.
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            **{"adam_weight_decay": weight_decay, **kwargs},
        )

    def _should_use_adamw(self, variable: Any) -> bool:
        if len(variable.shape) == 4:
            return variable.shape[-1] == 1  # depthwise
        return super()._should_use_adamw(variable)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The nearest orthogonal matrix of a kernel, in the kernel's shape."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scales an orthogonal update of a kernel to the size of AdamW's."""
        longer = max(math.prod(x.shape[:-1]), x.shape[-1])
        return x * math.sqrt(longer) * self.rms_rate
