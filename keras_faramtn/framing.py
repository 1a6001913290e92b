"""How a face is framed in its crop: in the training images, and so at prediction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keras_faramtn.errors import InputError

Point = tuple[float, float]
"""x and y."""


@dataclass(frozen=True)
class AlignedFraming:
    """Face crops in which the eyes and the mouth are at fixed positions.

    A similarity transform (rotation, scaling and shift) brings them there, so faces are upright.

    Attributes:
        aspect: the width of the crop divided by its height.
        left_eye, right_eye, mouth: the positions of the centres of the eye on the left of the
            crop, of the eye on the right, and of the mouth, as fractions of the crop's width and
            height.

    Example:
        >>> CELEBA_FRAMING.left_eye[0] < CELEBA_FRAMING.mouth[0] < CELEBA_FRAMING.right_eye[0]
        True
    """

    aspect: float
    left_eye: Point
    right_eye: Point
    mouth: Point


@dataclass(frozen=True)
class BoxFraming:
    """Face crops that are the detected box with a margin. Faces stay as rotated as they are.

    Attributes:
        aspect: the width of the crop divided by its height.
        top_left, bottom_right: where the corners of the detected box are, as fractions of the
            crop's width and height.

    Example:
        >>> BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75)).aspect  # the box with a margin of 50 %
        1.0
    """

    aspect: float
    top_left: Point
    bottom_right: Point


Framing = AlignedFraming | BoxFraming
"""How a face is framed in its crop."""

_KINDS: dict[str, type[Framing]] = {"aligned": AlignedFraming, "box": BoxFraming}

CELEBA_FRAMING = AlignedFraming(
    aspect=178 / 218,
    left_eye=(69.4 / 178, 111.3 / 218),
    right_eye=(107.7 / 178, 111.1 / 218),
    mouth=(88.2 / 178, 152.2 / 218),
)
"""The framing of CelebA's aligned images, 178 pixels wide and 218 high."""


def framing_to_json(framing: Framing) -> dict[str, Any]:
    """The framing in JSON values: its `kind`, `aligned` or `box`, and its attributes.

    Example:
        >>> framing_to_json(BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75)))["kind"]
        'box'
    """
    kind = next(name for name, type_ in _KINDS.items() if isinstance(framing, type_))
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(framing).items()
    }
    return {"kind": kind, **values}


def framing_from_json(content: Mapping[str, Any]) -> Framing:
    """The framing that `framing_to_json` described.

    Raises:
        InputError: it is not such a description.

    Example:
        >>> framing_from_json(framing_to_json(CELEBA_FRAMING)) == CELEBA_FRAMING
        True
    """
    try:
        values: dict[str, Any] = {
            name: (float(value[0]), float(value[1])) if isinstance(value, list) else float(value)
            for name, value in content.items()
            if name != "kind"
        }
        return _KINDS[content["kind"]](**values)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"not a framing of face crops: {content!r}; use one that this package wrote."
        ) from error
