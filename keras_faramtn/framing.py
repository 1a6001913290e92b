"""How a face is framed in its crop: in the training images, and so at prediction."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from keras_faramtn.errors import InputError

Point = tuple[float, float]
"""x and y."""


def _refuse(framing: "Framing", *, ordered: bool) -> None:
    """Refuses a framing with impossible numbers or with points in the wrong order."""
    aspect, *points = asdict(framing).values()
    numbers = [aspect, *(number for point in points for number in point)]
    if not (ordered and aspect > 0 and all(map(math.isfinite, numbers))):
        raise InputError(
            f"no face can be framed like this: {framing}; use fractions of the crop's width and "
            "height, from its top left corner, with left_eye left of right_eye and above mouth, "
            "or top_left above and left of bottom_right."
        )


@dataclass(frozen=True)
class AlignedFraming:
    """Face crops in which the eyes and the mouth are at fixed positions.

    A similarity transform (rotation, scaling and shift) brings them there, so faces are upright.

    Attributes:
        aspect: the width of the crop divided by its height.
        left_eye, right_eye, mouth: the positions of the centres of the eye on the left of the
            crop, of the eye on the right, and of the mouth, as fractions of the crop's width and
            height.

    Raises:
        InputError: a number is not finite, the aspect is not positive, or the eyes are not beside
            each other in this order, with the mouth below them.

    Example:
        >>> CELEBA_FRAMING.left_eye[0] < CELEBA_FRAMING.mouth[0] < CELEBA_FRAMING.right_eye[0]
        True
    """

    aspect: float
    left_eye: Point
    right_eye: Point
    mouth: Point

    def __post_init__(self) -> None:
        lower_eye = max(self.left_eye[1], self.right_eye[1])
        _refuse(self, ordered=self.left_eye[0] < self.right_eye[0] and lower_eye < self.mouth[1])


@dataclass(frozen=True)
class BoxFraming:
    """Face crops that are the detected box with a margin. Faces stay as rotated as they are.

    Attributes:
        aspect: the width of the crop divided by its height.
        top_left, bottom_right: where the corners of the detected box are, as fractions of the
            crop's width and height.

    Raises:
        InputError: a number is not finite, the aspect is not positive, or the corners are in
            another order.

    Example:
        >>> BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75)).aspect  # the box with a margin of 50 %
        1.0
    """

    aspect: float
    top_left: Point
    bottom_right: Point

    def __post_init__(self) -> None:
        (left, top), (right, bottom) = self.top_left, self.bottom_right
        _refuse(self, ordered=left < right and top < bottom)


Framing = AlignedFraming | BoxFraming
"""How a face is framed in its crop."""

_KINDS: dict[str, type[Framing]] = {"aligned": AlignedFraming, "box": BoxFraming}

CELEBA_FRAMING = AlignedFraming(
    aspect=178 / 218,
    left_eye=(69.4 / 178, 111.3 / 218),
    right_eye=(107.7 / 178, 111.1 / 218),
    mouth=(88.2 / 178, 152.2 / 218),
)
"""The framing of CelebA's aligned images, 178 pixels wide and 218 high.

These are the mean positions in its `list_landmarks_align_celeba.txt`; the mouth is between its
corners."""

BOX_FRAMING = BoxFraming(aspect=1.0, top_left=(0.25, 0.25), bottom_right=(0.75, 0.75))
"""A square crop of the detected box, eyebrows to chin, with a margin of half its side."""

FRAMINGS: dict[str, Framing] = {"celeba": CELEBA_FRAMING, "box": BOX_FRAMING}
"""The framings that have a name in recipes and at the command line."""


def framing_named(name: str) -> Framing:
    """The framing of a name.

    Raises:
        InputError: there is none of this name.

    Example:
        >>> framing_named("celeba") == CELEBA_FRAMING
        True
    """
    if name not in FRAMINGS:
        raise InputError(f"there is no framing {name!r}; choose one of {', '.join(FRAMINGS)}.")
    return FRAMINGS[name]


def check_framing(value: Any) -> Framing:
    """The value, if it is a framing.

    Raises:
        InputError: it is something else, such as the name of a framing.

    Example:
        >>> check_framing(CELEBA_FRAMING) == CELEBA_FRAMING
        True
    """
    if not isinstance(value, Framing):
        raise InputError(
            f"{value!r} is not a framing; use CELEBA_FRAMING, an AlignedFraming or a BoxFraming."
        )
    return value


def with_aspect(framing: Framing, aspect: float) -> Framing:
    """The framing of a wider or narrower crop, with more around the face and no distortion.

    Args:
        framing: the framing.
        aspect: the width of the crop divided by its height.

    Example:
        >>> with_aspect(BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75)), 2.0).top_left
        (0.375, 0.25)
    """
    scale = (min(1.0, framing.aspect / aspect), min(1.0, aspect / framing.aspect))
    points = {
        name: tuple(0.5 + (x - 0.5) * factor for x, factor in zip(value, scale, strict=True))
        for name, value in asdict(framing).items()
        if name != "aspect"
    }
    return type(framing)(aspect=aspect, **points)


def describe_framing(framing: Framing | None) -> str:
    """The framing in one line, for a report.

    Example:
        >>> describe_framing(CELEBA_FRAMING)
        'aligned: eyes at (39 %, 51 %) and (61 %, 51 %), mouth at (50 %, 70 %) of width and height'
        >>> describe_framing(BOX_FRAMING)
        'box: the detected face from (25 %, 25 %) to (75 %, 75 %) of width and height'
        >>> describe_framing(None)
        'unknown'
    """
    if framing is None:
        return "unknown"
    if isinstance(framing, BoxFraming):
        corners = f"{_percent(framing.top_left)} to {_percent(framing.bottom_right)}"
        return f"box: the detected face from {corners} of width and height"
    eyes = f"{_percent(framing.left_eye)} and {_percent(framing.right_eye)}"
    return f"aligned: eyes at {eyes}, mouth at {_percent(framing.mouth)} of width and height"


def _percent(point: Point) -> str:
    return f"({100 * point[0]:.0f} %, {100 * point[1]:.0f} %)"


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
        InputError: it is not such a description, or describes an impossible framing.

    Example:
        >>> framing_from_json(framing_to_json(CELEBA_FRAMING)) == CELEBA_FRAMING
        True
    """
    try:
        values: dict[str, Any] = {
            name: _point(*value) if isinstance(value, list) else float(value)
            for name, value in content.items()
            if name != "kind"
        }
        return _KINDS[content["kind"]](**values)
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"not a framing of face crops: {content!r}; use {_describe_kinds()}."
        ) from error


def _describe_kinds() -> str:
    keys = {kind: ", ".join(each.name for each in fields(_KINDS[kind])) for kind in _KINDS}
    return " or ".join(f"kind: {kind} with {names}" for kind, names in keys.items())


def _point(x: Any, y: Any) -> Point:
    return float(x), float(y)
