"""Cuts face crops out of photographs, framed as the training images are."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_faramtn.data.images import check_rgb
from keras_faramtn.faces.face import Face
from keras_faramtn.framing import AlignedFraming, BoxFraming, Framing, check_framing

_REDUCING_GAP = 3  # Pillow's documentation: indistinguishable from resizing in one step
_MARGIN = 2  # pixels around the crop that its interpolation needs
_ROUNDING = 1e-6  # pixels: an exact length may come out of the matrix slightly larger


def crop_face(
    photograph: Image.Image, face: Face, framing: Framing, image_size: tuple[int, int]
) -> np.ndarray:
    """The crop of a face.

    Beyond the edges of the photograph, the pixels at its edge are repeated.

    Args:
        photograph: RGB, upright.
        face: a face in it.
        framing: how the face is framed in the crop.
        image_size: height and width in pixels of the crop. If its aspect is not that of the
            framing, the crop is stretched, as training images are.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        InputError: the photograph is not RGB, or `framing` is not a framing.

    Example:
        >>> face = Face(10, 10, 30, 30, 0.9, (15, 15), (25, 15), (20, 20), (20, 25))
        >>> framing = BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75))
        >>> crop_face(Image.new("RGB", (40, 40), "red"), face, framing, (8, 8)).shape
        (8, 8, 3)
    """
    check_rgb(photograph)
    matrix = _SOURCES[type(check_framing(framing))](face, framing)
    return _sample(photograph, matrix, image_size)


def crop_faces(
    photograph: Image.Image,
    faces: Sequence[Face],
    framing: Framing,
    image_size: tuple[int, int],
) -> np.ndarray:
    """The crops of k faces, uint8 `(k, height, width, 3)`, as by `crop_face`; k may be zero."""
    crops = [crop_face(photograph, face, framing, image_size) for face in faces]
    return np.array(crops, "uint8").reshape(-1, *image_size, 3)


def _corners(matrix: np.ndarray) -> np.ndarray:
    return np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ matrix.T


def _aligned_source(face: Face, framing: AlignedFraming) -> np.ndarray:
    """The affine map from the crop, in fractions of its sides, to the photograph, `(2, 3)`.

    The similarity transform is the least-squares one (Umeyama, 1991, in complex numbers).
    """
    sides = np.array([framing.aspect, 1.0])
    target = np.array([framing.left_eye, framing.right_eye, framing.mouth]) * sides
    source = np.array([face.left_eye, face.right_eye, face.mouth])
    from_centre = (target - target.mean(axis=0)) @ [1, 1j]
    to_centre = (source - source.mean(axis=0)) @ [1, 1j]
    factor = np.vdot(from_centre, to_centre) / np.vdot(from_centre, from_centre)
    rotation = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    shift = source.mean(axis=0) - rotation @ target.mean(axis=0)
    return np.column_stack([rotation * sides, shift])


def _box_source(face: Face, framing: BoxFraming) -> np.ndarray:
    """As `_aligned_source`, without rotation; the scale is that of the box's area."""
    sides = np.array([framing.aspect, 1.0])
    corners = np.array([framing.top_left, framing.bottom_right]) * sides
    box = np.array([[face.left, face.top], [face.right, face.bottom]])
    scale = math.sqrt(np.prod(box[1] - box[0]) / np.prod(corners[1] - corners[0]))
    shift = box.mean(axis=0) - scale * corners.mean(axis=0)
    return np.column_stack([np.diag(scale * sides), shift])


_SOURCES: dict[type, Callable[[Face, Any], np.ndarray]] = {
    AlignedFraming: _aligned_source,
    BoxFraming: _box_source,
}


def _sample(photograph: Image.Image, matrix: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Cuts the crop out at the photograph's resolution, and resizes it as training images are.

    Where the photograph is coarser than the crop, a single interpolation does both.

    Args:
        photograph: RGB.
        matrix: `(2, 3)`, the affine map from the crop, in fractions of its sides, to the photograph
            in pixels.
        image_size: height and width in pixels of the crop.
    """
    size = np.array(image_size[::-1])
    lengths = np.linalg.norm(matrix[:, :2], axis=0)  # width and height in the photograph
    step = max(1, math.floor(min(lengths / size) / _REDUCING_GAP))
    region, corner = _region(photograph, matrix, step)
    cut = np.maximum(size, np.ceil(lengths / step - _ROUNDING)).astype(int)
    linear, shift = matrix[:, :2] / cut / step, (matrix[:, 2] - corner) / step
    finer = (cut > size).any()
    crop = region.transform(
        tuple(cut),
        Image.Transform.AFFINE,
        tuple(np.column_stack([linear, shift]).ravel()),
        Image.Resampling.BICUBIC if finer else Image.Resampling.BILINEAR,
    )
    return np.asarray(crop.resize(tuple(size), Image.Resampling.BILINEAR) if finer else crop)


def _region(
    photograph: Image.Image, matrix: np.ndarray, step: int
) -> tuple[Image.Image, np.ndarray]:
    """The rectangle around the crop, its resolution divided by `step`, and its top left corner.

    The pixels at the edges of the photograph are repeated beyond them.
    """
    size, margin = np.array(photograph.size), _MARGIN * step
    corners = _corners(matrix)
    first = np.floor(corners.min(axis=0)).astype(int) - margin
    last = np.ceil(corners.max(axis=0)).astype(int) + margin
    inside_first, inside_last = np.clip(first, 0, size - 1), np.clip(last, 1, size)
    box = (*inside_first.tolist(), *inside_last.tolist())
    region = photograph.reduce(step, box) if step > 1 else photograph.crop(box)
    before = np.ceil(np.maximum(0, inside_first - first) / step).astype(int)
    after = np.ceil(np.maximum(0, last - inside_last) / step).astype(int)
    if before.any() or after.any():
        padding = [*zip(before[::-1], after[::-1], strict=True), (0, 0)]
        region = Image.fromarray(np.pad(np.asarray(region), padding, mode="edge"))
    return region, inside_first - before * step
