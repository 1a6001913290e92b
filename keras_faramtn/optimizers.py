"""Muon for convolutional networks, and optimizers that train the backbone more slowly."""

import inspect
import math
import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_faramtn.errors import InputError

_Muon: Any = getattr(keras.optimizers, "Muon", keras.optimizers.Optimizer)

MUON_SUPPORTED = "rms_rate" in inspect.signature(_Muon).parameters
"""Whether Keras has the Muon of version 3.13; earlier versions scale updates differently."""


@keras.saving.register_keras_serializable(package="keras_faramtn")
class ConvolutionMuon(_Muon):
    """`keras.optimizers.Muon` that also updates the kernels of convolutions; needs Keras 3.13.

    Muon (Jordan, https://kellerjordan.github.io/posts/muon, 2024) makes the update of a matrix
    orthogonal, so that all of its directions are learned at the same rate. As in the original, the
    kernel of a convolution, `(height, width, in, out)`, is treated as the matrix
    `(height * width * in, out)`. Keras's own Muon updates it with AdamW.

    Muon updates these variables, and AdamW all others:

    - matrices (rank 2), as in Keras;
    - variables of rank 4 and 5 whose name ends in `kernel`: those of `Conv2D`, `Conv3D`, their
      transposes, and the pointwise kernels of `SeparableConv2D`;
    - variables of rank 3 whose name ends in `kernel`, if their layer has `conv` in its name:
      `Conv1D`. Other kernels of rank 3, as in attention, are not matrices of inputs by outputs.

    Exceptions, which AdamW updates too: depthwise kernels, that is, those with `depthwise` or
    `dwconv` in the name of the layer or the variable (as in Keras and its applications), and
    kernels of shape `(..., 1)`; embeddings, unless `exclude_embeddings=False`; and variables
    that `exclude_layers` matches. The kernel of a `DepthwiseConv2D` with a depth multiplier above
    1 has the shape of an ordinary kernel: if its layer has a custom name, add it to
    `exclude_layers`. The heads belong there too, as Muon's author advises.

    Args:
        learning_rate: a number or a schedule; updates are as large as AdamW's at the same rate
            (Liu et al., arXiv 2502.16982).
        weight_decay: of all variables except those of `exclude_from_weight_decay`; 0 for none.
        **kwargs: the other arguments of `keras.optimizers.Muon`; `exclude_layers` is a list of
            regular expressions that are searched in the paths of variables.

    Raises:
        InputError: if the installed Keras is older than 3.13.

    Example:
        >>> model = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
        >>> model.add(keras.layers.Dense(2, name="head"))
        >>> model.compile(ConvolutionMuon(0.01, exclude_layers=["^head/"]), "mse")
        >>> history = model.fit(keras.ops.ones((2, 5, 5, 3)), keras.ops.zeros((2, 2)), verbose=0)
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **kwargs: Any
    ) -> None:
        if not MUON_SUPPORTED:
            raise InputError(
                f"ConvolutionMuon needs Keras 3.13 or later; this is Keras {keras.__version__}. "
                "Use AdamW (in a recipe: training.optimizer: adamw), or install a later Keras "
                'with: pip install --upgrade "keras>=3.13"'
            )
        # One decay for both kinds of update.
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            **{"adam_weight_decay": weight_decay, **kwargs},
        )

    def _should_use_adamw(self, variable: Any) -> bool:
        if not _is_matrix(variable):
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Approximates the nearest orthogonal matrix of a kernel, in the kernel's shape."""
        if len(x.shape) == 2:
            return super().zeropower_via_newtonschulz5(x, steps)
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scales an orthogonal update of a kernel to the size of AdamW's."""
        if self.rms_rate is None:
            return x
        longer = max(math.prod(x.shape[:-1]), x.shape[-1])
        return x * math.sqrt(longer) * self.rms_rate


class _SlowerBackbone(keras.optimizers.Optimizer):
    """Trains the layers of a backbone with a fraction of the learning rate.

    The update and the weight decay of each of their variables are those of the optimizer at that
    learning rate.

    Args:
        backbone_factor: the fraction.
        other_layers: names of the model's layers that are trained with the full learning rate; all
            others belong to the backbone.
    """

    def __init__(
        self,
        *args: Any,
        backbone_factor: float = 1.0,
        other_layers: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.backbone_factor = backbone_factor
        self.other_layers = list(other_layers)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self._is_of_backbone(variable):
            learning_rate = learning_rate * self.backbone_factor
            if self.weight_decay is not None and self._use_weight_decay(variable):
                decay = ops.cast(self.weight_decay * learning_rate, variable.dtype)
                self.assign_sub(variable, ops.multiply(variable, decay))
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        super()._apply_weight_decay([each for each in variables if not self._is_of_backbone(each)])

    def _is_of_backbone(self, variable: Any) -> bool:
        # On TensorFlow, `variable` may be a tf.Variable, which has no path.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        return path.partition("/")[0] not in self.other_layers

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "backbone_factor": self.backbone_factor,
            "other_layers": self.other_layers,
        }


@keras.saving.register_keras_serializable(package="keras_faramtn")
class SlowerBackboneAdamW(_SlowerBackbone, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with a lower learning rate for the backbone.

    Args:
        backbone_factor: the backbone's learning rate, as a factor of `learning_rate`.
        other_layers: names of the layers that don't belong to the backbone.
        *args, **kwargs: of `keras.optimizers.AdamW`.

    Example:
        >>> optimizer = SlowerBackboneAdamW(0.001, backbone_factor=0.1, other_layers=["head"])
        >>> optimizer.get_config()["backbone_factor"]
        0.1
    """


@keras.saving.register_keras_serializable(package="keras_faramtn")
class SlowerBackboneMuon(_SlowerBackbone, ConvolutionMuon):
    """`ConvolutionMuon` with a lower learning rate for the backbone; see `SlowerBackboneAdamW`."""


def _is_matrix(variable: Any) -> bool:
    rank = len(variable.shape)
    if rank == 2:
        return True
    layer_and_name = "/".join(variable.path.lower().split("/")[-2:])
    if not layer_and_name.endswith("kernel") or re.search("depthwise|dwconv", layer_and_name):
        return False
    convolution = rank in (4, 5) or (rank == 3 and "conv" in layer_and_name)
    return convolution and variable.shape[-1] > 1
