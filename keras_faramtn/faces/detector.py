"""Finds the faces in a photograph with BlazeFace."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from keras_faramtn.data.images import check_rgb
from keras_faramtn.faces.blazeface.network import BlazeFaceNetwork
from keras_faramtn.faces.blazeface.suppression import merge_detections, overlaps
from keras_faramtn.faces.face import Face
from keras_faramtn.faces.tiles import Tile, tiles
from keras_faramtn.threads import available_cores

_MIN_CANDIDATE_SCORE = 0.3  # low, because each candidate is looked at again
_MIN_SCORE = 0.6  # MediaPipe's, for this network
_CLOSE_UP = 4.0  # the side of the region that shows a candidate, relative to its box
_MIN_OVERLAP = 0.3  # of a candidate and its close-up; MediaPipe's limit for the same face


_Detections = tuple[np.ndarray, np.ndarray]
"""Points `(n, 8, 2)` in pixels of the photograph, of which the first two are the corners of the
box, and scores `(n,)`."""


class FaceDetector:
    """Detects faces with BlazeFace (Bazarevsky et al., 2019), the detector of MediaPipe.

    First the network, MediaPipe's "full range", looks for candidates in square tiles of the
    photograph at several scales. Then it looks at each candidate with its surroundings, which
    rejects most false ones and refines the points.

    It finds upright faces, and faces rotated by up to about 45 degrees, whose width is at least 24
    pixels and 1 % of the photograph's longer side.

    Each photograph is looked at on all cores. A detector may be used by several threads at once.

    Example:
        >>> FaceDetector().detect(Image.new("RGB", (64, 48)))
        []
    """

    def __init__(self) -> None:
        self._local = threading.local()  # a network can only be used by one thread
        self._pool = ThreadPoolExecutor(available_cores())
        # LiteRT prints a line when it loads its first network: here, not later.
        self._size = self._network().size

    def detect(self, photograph: Image.Image) -> list[Face]:
        """The faces in a photograph, largest first.

        Args:
            photograph: RGB, upright.

        Raises:
            InputError: the photograph is not RGB.
        """
        check_rgb(photograph)
        looks = self._pool.map(self._look_at_tile, tiles(photograph, self._size))
        candidates = _candidates(list(looks), photograph.size)
        if not len(candidates):
            return []
        look = functools.partial(self._look_closely, photograph)
        points, scores = _merge(list(self._pool.map(look, candidates)))
        faces = [_face(*each) for each in zip(points, scores, strict=True)]
        return sorted(faces, key=lambda face: -(face.right - face.left) * (face.bottom - face.top))

    def _look_at_tile(self, tile: Tile) -> _Detections:
        points, scores = self._network().run(tile.pixels, _MIN_CANDIDATE_SCORE)
        points = points * self._size
        whole = tile.shows_whole(points[:, :2])
        return tile.to_photograph(points[whole]), scores[whole]

    def _look_closely(self, photograph: Image.Image, candidate: np.ndarray) -> _Detections:
        """The detections of the same face in a region around a candidate."""
        side = _CLOSE_UP * float(np.sqrt(np.prod(candidate[1] - candidate[0])))
        left, top = (candidate[:2].mean(axis=0) - side / 2).tolist()
        pixels = _square(photograph, left, top, side, self._size)
        points, scores = self._network().run(pixels, _MIN_SCORE)
        points = points * side + [left, top]
        same = overlaps(candidate, points) > _MIN_OVERLAP
        return points[same], scores[same]

    def _network(self) -> BlazeFaceNetwork:
        """The network of the calling thread."""
        if not hasattr(self._local, "network"):
            self._local.network = BlazeFaceNetwork()
        return self._local.network


def _candidates(looks: list[_Detections], size: tuple[int, int]) -> np.ndarray:
    """The points of all possible faces in a photograph of a width and height, `(n, 8, 2)`."""
    points, _ = _merge(looks)
    top_left, bottom_right = points[:, 0], points[:, 1]
    centres = (top_left + bottom_right) / 2
    possible = (top_left < bottom_right) & (centres > 0) & (centres < size)
    return points[possible.all(axis=1)]


def _merge(detections: list[_Detections]) -> _Detections:
    """Merges the detections of the same faces in several regions."""
    points, scores = zip(*detections, strict=True)
    return merge_detections(np.concatenate(points), np.concatenate(scores))


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
