"""Finds the faces in a photograph with BlazeFace."""

import threading

import numpy as np
from PIL import Image

from keras_faramtn.faces.blazeface.network import FULL_RANGE, SHORT_RANGE, BlazeFaceNetwork
from keras_faramtn.faces.blazeface.suppression import merge_detections, overlaps
from keras_faramtn.faces.face import Face
from keras_faramtn.faces.tiles import tiles

_MIN_CANDIDATE_SCORE = 0.3  # low, because each candidate is looked at again
_MIN_SCORE = 0.6
_WHOLE_BORDER = 0.25  # fraction of the photograph's longer side; a face that fills it needs it
_CLOSE_UP = 2.5  # the side of the region that shows a candidate, relative to its box
_MIN_OVERLAP = 0.3  # of a candidate and its close-up; MediaPipe's limit for the same face


class FaceDetector:
    """Detects faces with BlazeFace (Bazarevsky et al., 2019), the detector of MediaPipe.

    First its full-range network looks for candidates in square tiles of the photograph at several
    scales, and its short-range network in the whole photograph. Then the short-range network looks
    at each candidate from close up, which rejects most false ones and refines the points.

    It finds upright faces, and faces rotated by up to about 45 degrees, whose width is at least 24
    pixels and 1 % of the photograph's longer side.

    A detector may be used by several threads at once.

    Example:
        >>> FaceDetector().detect(Image.new("RGB", (64, 48)))
        []
    """

    def __init__(self) -> None:
        self._local = threading.local()  # a network can only be used by one thread
        self._networks()  # LiteRT prints a line when it loads its first network: here, not later

    def detect(self, photograph: Image.Image) -> list[Face]:
        """The faces in a photograph, largest first.

        Args:
            photograph: RGB, upright.
        """
        short, full = self._networks()
        candidates = _candidates(photograph, short, full)
        if not len(candidates):
            return []
        close_ups = [_close_up(photograph, short, candidate) for candidate in candidates]
        points, scores = _merge(close_ups, _MIN_SCORE)
        faces = [_face(*each) for each in zip(points, scores, strict=True)]
        return sorted(faces, key=lambda face: -(face.right - face.left) * (face.bottom - face.top))

    def _networks(self) -> tuple[BlazeFaceNetwork, BlazeFaceNetwork]:
        """The short-range and the full-range network of the calling thread."""
        if not hasattr(self._local, "networks"):
            self._local.networks = BlazeFaceNetwork(SHORT_RANGE), BlazeFaceNetwork(FULL_RANGE)
        return self._local.networks


_Detections = tuple[np.ndarray, np.ndarray]
"""Points `(n, 8, 2)` in pixels of the photograph, of which the first two are the corners of the
box, and scores `(n,)`."""


def _candidates(
    photograph: Image.Image, short: BlazeFaceNetwork, full: BlazeFaceNetwork
) -> np.ndarray:
    """The points of all possible faces, `(n, 8, 2)`."""
    width, height = photograph.size
    side = max(width, height) * (1 + 2 * _WHOLE_BORDER)
    found = [_look(photograph, short, (width - side) / 2, (height - side) / 2, side)]
    for tile in tiles(photograph, full.size):
        points, scores = full.run(tile.pixels)
        points = points * full.size
        whole = tile.shows_whole(points[:, :2])
        found.append((tile.to_photograph(points[whole]), scores[whole]))
    points, _ = _merge(found, _MIN_CANDIDATE_SCORE)
    top_left, bottom_right = points[:, 0], points[:, 1]
    centres = (top_left + bottom_right) / 2
    possible = (top_left < bottom_right) & (centres > 0) & (centres < [width, height])
    return points[possible.all(axis=1)]


def _merge(detections: list[_Detections], min_score: float) -> _Detections:
    """Merges detections of the same faces, without those of a lower score."""
    likely = [scores > min_score for _, scores in detections]
    points = [points[each] for (points, _), each in zip(detections, likely, strict=True)]
    scores = [scores[each] for (_, scores), each in zip(detections, likely, strict=True)]
    return merge_detections(np.concatenate(points), np.concatenate(scores))


def _look(
    photograph: Image.Image, network: BlazeFaceNetwork, left: float, top: float, side: float
) -> _Detections:
    """All detections of a network in a square region."""
    points, scores = network.run(_square(photograph, left, top, side, network.size))
    return points * side + [left, top], scores


def _close_up(
    photograph: Image.Image, network: BlazeFaceNetwork, candidate: np.ndarray
) -> _Detections:
    """The detections of the same face in a region around a candidate."""
    side = _CLOSE_UP * float(np.sqrt(np.prod(candidate[1] - candidate[0])))
    left, top = (candidate[:2].mean(axis=0) - side / 2).tolist()
    points, scores = _look(photograph, network, left, top, side)
    same = overlaps(candidate, points) > _MIN_OVERLAP
    return points[same], scores[same]


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
