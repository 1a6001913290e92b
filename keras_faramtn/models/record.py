"""What is recorded about a network in the configs of its layers, and what is set after training."""

from collections.abc import Mapping, Sequence

import keras

from keras_faramtn.attributes import DEFAULT_THRESHOLD, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.framing import Framing, check_framing
from keras_faramtn.layers import AttributeHead, FaceFraming
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models.heads import groups_of, heads_of


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
    return ModelRecord(
        groups,
        None if layer is None else layer.framing,
        _in_order(groups, {head: head.thresholds for head in heads_of(model)}, DEFAULT_THRESHOLD),
        _in_order(groups, {head: head.temperatures for head in heads_of(model)}, 1.0),
    )


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
    if thresholds is None:
        for head in heads_of(model):
            head.thresholds = None
        return
    for head, own in _by_head(model, thresholds, "thresholds"):
        try:
            head.thresholds = own
        except (TypeError, ValueError) as error:
            raise InputError(f"the thresholds can't be used: {error}") from error


def apply_temperatures(model: keras.Model, temperatures: Sequence[float]) -> None:
    """Divides the logits of a network's attributes by temperatures, to calibrate probabilities.

    The weights of its heads change, so it costs nothing, and every exported file has it. The
    product of all temperatures that were applied is recorded, and saved with the model. Recorded
    thresholds change in the same way, so that the predicted attributes stay the same. The state of
    an optimizer does not: train first, then calibrate.

    Args:
        model: a network of this package, or an `inference_model` of one.
        temperatures: for each attribute, in canonical order, a positive number, such as from
            `fit_temperatures`.

    Raises:
        InputError: this package did not build the model, the temperatures are not one positive
            number for each attribute, or a head is quantized.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> apply_temperatures(model, [2, 1])
        >>> apply_temperatures(model, [1.5, 1])
        >>> record_of(model).temperatures
        (3.0, 1.0)
    """
    by_head = _by_head(model, temperatures, "temperatures")
    try:
        for head, own in by_head:  # before any weight changes
            head.check_divisible(own)
    except (TypeError, ValueError) as error:
        raise InputError(f"the temperatures can't be applied: {error}") from error
    for head, own in by_head:
        head.divide_logits(own)


def _by_head(
    model: keras.Model, values: Sequence[float], what: str
) -> list[tuple[AttributeHead, list[float]]]:
    """Each head with the values of its attributes, from those of all in canonical order."""
    count = len(groups_of(model).attributes)
    if len(values) != count:
        raise InputError(
            f"there are {len(values)} {what} for {count} attributes; specify one for each."
        )
    return [(head, [values[each] for each in head.positions]) for head in heads_of(model)]


def _in_order(
    groups: AttributeGroups,
    by_head: Mapping[AttributeHead, tuple[float, ...] | None],
    default: float,
) -> tuple[float, ...] | None:
    """The values of all attributes in canonical order; None if no head has any."""
    if all(values is None for values in by_head.values()):
        return None
    every = [default] * len(groups.attributes)
    for head, values in by_head.items():
        for position, value in zip(head.positions, values or (), strict=False):
            every[position] = value
    return tuple(every)


def _framing_layer(model: keras.Model) -> FaceFraming | None:
    return next((layer for layer in model.layers if isinstance(layer, FaceFraming)), None)
