"""Finds the faces in a photograph with BlazeFace."""

import math
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image

from keras_faramtn.faces.blazeface.network import FULL_RANGE, SHORT_RANGE, BlazeFaceNetwork
from keras_faramtn.faces.blazeface.suppression import merge_detections
from keras_faramtn.faces.face import Face

_MIN_SCORE = 0.5
_BORDER = 0.25  # fraction of the photograph's longer side; a face that fills the image needs it
_OVERLAP = 0.25  # of neighbouring tiles, as a fraction of their side
_MIN_TILE = 384  # pixels


class FaceDetector:
    """Detects faces with BlazeFace (Bazarevsky et al., 2019), the detector of MediaPipe.

    Its short-range network sees the whole photograph, for large faces; its full-range network sees
    the whole and square tiles of it, each half as large as the previous ones, for small faces.

    A detector may be used by several threads at once.

    Example:
        >>> FaceDetector().detect(Image.new("RGB", (64, 48)))
        []
    """

    def __init__(self) -> None:
        self._local = threading.local()  # a network can only be used by one thread

    def detect(self, photograph: Image.Image) -> list[Face]:
        """The faces in a photograph, largest first.

        Args:
            photograph: RGB, upright.
        """
        networks = self._networks()
        points, scores = [np.zeros((0, 8, 2))], [np.zeros(0)]
        for network, (left, top, side) in _regions(*photograph.size):
            pixels = _square(photograph, left, top, side, networks[network].size)
            found, found_scores = networks[network].run(pixels)
            likely = found_scores > _MIN_SCORE
            points.append(found[likely] * side + [left, top])
            scores.append(found_scores[likely])
        merged, best = merge_detections(np.concatenate(points), np.concatenate(scores))
        faces = [_face(*each) for each in zip(merged, best, strict=True)]
        return sorted(faces, key=lambda face: -(face.right - face.left) * (face.bottom - face.top))

    def _networks(self) -> dict[str, BlazeFaceNetwork]:
        if not hasattr(self._local, "networks"):
            kinds = {"short": SHORT_RANGE, "full": FULL_RANGE}
            self._local.networks = {name: BlazeFaceNetwork(kind) for name, kind in kinds.items()}
        return self._local.networks


def _regions(width: int, height: int) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """The network, and left, top and side of each square region that it sees."""
    longer = max(width, height)
    side = longer * (1 + 2 * _BORDER)
    bordered = ((width - side) / 2, (height - side) / 2, side)
    yield "short", bordered
    yield "full", bordered
    side = longer / 2
    while side >= _MIN_TILE:
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield "full", (left, top, side)
        side /= 2


def _starts(length: float, side: float) -> np.ndarray:
    """Where the tiles of one side start, so that they cover a length and overlap."""
    if length <= side:
        return np.array([(length - side) / 2])
    count = math.ceil((length - side) / (side * (1 - _OVERLAP))) + 1
    return np.linspace(0, length - side, count)


def _square(photograph: Image.Image, left: float, top: float, side: float, size: int) -> np.ndarray:
    """A square region, resized; black beyond the photograph."""
    box = (
        max(left, 0.0),
        max(top, 0.0),
        min(left + side, float(photograph.width)),
        min(top + side, float(photograph.height)),
    )
    scale = size / side
    corner = (round((box[0] - left) * scale), round((box[1] - top) * scale))
    inside = (
        max(1, round((box[2] - box[0]) * scale)),
        max(1, round((box[3] - box[1]) * scale)),
    )
    # `reducing_gap` makes the resizing of a large photograph fast.
    resized = photograph.resize(inside, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    square = Image.new("RGB", (size, size))
    square.paste(resized, corner)
    return np.asarray(square)


def _face(points: np.ndarray, score: float) -> Face:
    (left, top), (right, bottom), *landmarks = points.astype(float).tolist()
    left_eye, right_eye, nose, mouth = (tuple(point) for point in landmarks[:4])
    return Face(left, top, right, bottom, float(score), left_eye, right_eye, nose, mouth)
