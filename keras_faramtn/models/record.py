"""What is recorded about a network, in the configs of its layers."""

from collections.abc import Sequence

import keras

from keras_faramtn.attributes import DEFAULT_THRESHOLD, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.framing import Framing, check_framing
from keras_faramtn.layers import AttributeHead, FaceFraming
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models.heads import groups_of


def record_of(model: keras.Model) -> ModelRecord:
    """What a model predicts, and of what images.

    Args:
        model: a network of this package, or an `inference_model` of one.

    Raises:
        InputError: this package did not build the model.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> from keras_faramtn.framing import CELEBA_FRAMING
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> set_framing(model, CELEBA_FRAMING)
        >>> record_of(model).framing == CELEBA_FRAMING
        True
    """
    groups, layer = groups_of(model), _framing_layer(model)
    return ModelRecord(groups, None if layer is None else layer.framing, _thresholds(model, groups))


def set_framing(model: keras.Model, framing: Framing | None) -> None:
    """Records how the faces in a network's training images are framed; it is saved with the model.

    Args:
        model: a network of this package.
        framing: None if it is unknown.

    Raises:
        InputError: this package did not build the model, or `framing` is not a framing.

    Example:
        >>> from keras_faramtn import CELEBA_FRAMING, MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling"], (32, 32, 3))
        >>> set_framing(model, CELEBA_FRAMING)
        >>> record_of(model).framing.aspect == CELEBA_FRAMING.aspect
        True
    """
    layer = _framing_layer(model)
    if layer is None:
        raise InputError(
            f"model {model.name!r} can't record a framing; use one built by keras_faramtn."
        )
    layer.framing = None if framing is None else check_framing(framing)


def set_thresholds(model: keras.Model, thresholds: Sequence[float] | None) -> None:
    """Records the thresholds of a network's attributes; they are saved with the model.

    Args:
        model: a network of this package, or an `inference_model` of one.
        thresholds: for each attribute, in canonical order, the probability in 0..1 above which it
            is predicted, such as from `choose_thresholds`; None for 0.5.

    Raises:
        InputError: this package did not build the model, or the thresholds are not one number in
            0..1 for each attribute.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> set_thresholds(model, [0.25, 0.5])
        >>> record_of(model).thresholds
        (0.25, 0.5)
    """
    groups = groups_of(model)
    if thresholds is not None and len(thresholds) != len(groups.attributes):
        raise InputError(
            f"there are {len(thresholds)} thresholds for {len(groups.attributes)} attributes; "
            "specify one for each."
        )
    for head in _heads(model):
        try:
            head.thresholds = (
                None if thresholds is None else [thresholds[each] for each in head.positions]
            )
        except (TypeError, ValueError) as error:
            raise InputError(f"the thresholds can't be used: {error}") from error


def _thresholds(model: keras.Model, groups: AttributeGroups) -> tuple[float, ...] | None:
    """The thresholds of all attributes in canonical order; None if no head has any."""
    heads = _heads(model)
    if all(head.thresholds is None for head in heads):
        return None
    every = [DEFAULT_THRESHOLD] * len(groups.attributes)
    for head in heads:
        for position, threshold in zip(head.positions, head.thresholds or (), strict=False):
            every[position] = threshold
    return tuple(every)


def _heads(model: keras.Model) -> list[AttributeHead]:
    return [layer for layer in model.layers if isinstance(layer, AttributeHead)]


def _framing_layer(model: keras.Model) -> FaceFraming | None:
    return next((layer for layer in model.layers if isinstance(layer, FaceFraming)), None)
