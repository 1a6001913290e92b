"""Images of synthetic faces."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.errors import InputError
from keras_faramtn.synthetic.drawing.portrait import FRAME, paint
from keras_faramtn.synthetic.labels import draw_labels

MIN_SIZE, MAX_SIZE = 32, 1024
"""Limits of an image's height and width in pixels."""


def draw_face(
    labels: Mapping[str, bool],
    rng: np.random.Generator,
    image_size: tuple[int, int] = FRAME,
) -> Image.Image:
    """Draws a synthetic face with given attributes; `drawing.portrait` describes how each looks.

    Args:
        labels: for each of the 40 attributes, whether it is present.
        rng: decides all other traits of the person and of the photograph. The same state with
            another label gives the same person with that change.
        image_size: height and width in pixels, 32 to 1024.

    Returns:
        An RGB image, framed like CelebA's aligned images.

    Raises:
        InputError: an attribute is unknown or missing, or the size is out of range.

    Example:
        >>> labels = dict.fromkeys(CELEBA_ATTRIBUTES, False) | {"Smiling": True, "No_Beard": True}
        >>> draw_face(labels, np.random.default_rng(0), (64, 48)).size
        (48, 64)
    """
    wrong = sorted(set(labels) ^ set(CELEBA_ATTRIBUTES))
    if wrong:
        raise InputError(
            "labels must contain exactly CelebA's 40 attributes; unknown or missing: "
            f"{', '.join(wrong)}."
        )
    refuse_image_size(image_size)
    return paint(labels, rng, image_size)


def draw_faces(count: int, image_size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Draws random faces, the same ones that `synthesize` writes.

    Args:
        count: the number of faces.
        image_size: height and width in pixels, 32 to 1024.
        seed: decides the labels and the people.

    Returns:
        uint8 `(count, height, width, 3)`, RGB.

    Raises:
        InputError: the count is less than 1, or the size is out of range.

    Example:
        >>> draw_faces(2, (64, 48)).shape
        (2, 64, 48, 3)
    """
    refuse_count(count)
    refuse_image_size(image_size)
    faces = (draw_labelled_face(seed, row, image_size) for row in range(count))
    return np.stack([np.asarray(image) for _, image in faces])


def draw_labelled_face(
    seed: int, row: int, image_size: tuple[int, int]
) -> tuple[np.ndarray, Image.Image]:
    """The labels, bool `(40,)`, and the image of one row; both depend only on `seed` and `row`."""
    rng = np.random.default_rng([seed, row])
    labels = draw_labels(1, rng)[0]
    named = dict(zip(CELEBA_ATTRIBUTES, labels.tolist(), strict=True))
    return labels, paint(named, rng, image_size)


def refuse_count(count: int) -> None:
    """Raises an InputError if `count` is less than 1."""
    if count < 1:
        raise InputError(f"the count is {count}; draw at least 1 face.")


def refuse_image_size(image_size: tuple[int, int]) -> None:
    """Raises an InputError if `image_size` is not two integers from `MIN_SIZE` to `MAX_SIZE`."""
    if len(image_size) != 2 or not all(
        isinstance(side, Integral) and MIN_SIZE <= side <= MAX_SIZE for side in image_size
    ):
        raise InputError(
            f"the image size is {image_size}; use a height and width from {MIN_SIZE} to {MAX_SIZE} "
            "pixels."
        )
