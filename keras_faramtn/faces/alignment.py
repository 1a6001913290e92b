"""Cuts face crops out of photographs, framed as the training images are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from keras_faramtn.faces.face import Face
from keras_faramtn.framing import AlignedFraming, BoxFraming, Framing


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

    Example:
        >>> face = Face(10, 10, 30, 30, 0.9, (15, 15), (25, 15), (20, 20), (20, 25))
        >>> framing = BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75))
        >>> crop_face(Image.new("RGB", (40, 40), "red"), face, framing, (8, 8)).shape
        (8, 8, 3)
    """
    matrix = _SOURCES[type(framing)](face, framing)
    return _sample(photograph, matrix, image_size)


def frame_corners(face: Face, framing: Framing) -> np.ndarray:
    """The corners of the crop in the photograph, `(4, 2)`, x and y in pixels.

    The order is top left, top right, bottom right, bottom left.
    """
    unit = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], "float64")
    return unit @ _SOURCES[type(framing)](face, framing).T


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
    """Samples the crop with antialiasing.

    Pillow's affine transform has none, so the region is first reduced to at most twice the
    resolution of the crop.
    """
    height, width = image_size
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ matrix.T
    left, top = np.floor(corners.min(axis=0)).astype(int) - 2
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    scale = min(
        np.linalg.norm(matrix[:, 0]) / width,
        np.linalg.norm(matrix[:, 1]) / height,
    )
    step = max(1, math.floor(scale / 2))
    region = _region(photograph, left, top, right, bottom)
    if step > 1:
        region = region.reduce(step)
    # From pixels of the enlarged crop to pixels of the region.
    zoom = 1 if scale / step <= 1 else 2
    columns = matrix[:, :2] / (zoom * np.array([width, height])) / step
    origin = (matrix[:, 2] - [left, top]) / step
    data = (columns[0, 0], columns[0, 1], origin[0], columns[1, 0], columns[1, 1], origin[1])
    crop = region.transform(
        (zoom * width, zoom * height), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
    )
    if zoom > 1:
        crop = crop.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(crop)


def _region(photograph: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """A rectangle of the photograph, with the pixels at its edges repeated beyond them."""
    width, height = photograph.size
    inside = (
        min(max(left, 0), width - 1),
        min(max(top, 0), height - 1),
        max(min(right, width), 1),
        max(min(bottom, height), 1),
    )
    pixels = np.asarray(photograph.crop(inside))
    padding = (
        (inside[1] - top, bottom - inside[3]),
        (inside[0] - left, right - inside[2]),
        (0, 0),
    )
    return Image.fromarray(np.pad(pixels, padding, mode="edge"))
