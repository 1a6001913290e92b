"""Measures how the faces in training images are framed."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from keras_faramtn.data.images import load_upright
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import AlignedFraming, BoxFraming, Framing, describe_framing
from keras_faramtn.threads import available_cores

logger = logging.getLogger(__name__)

_IMAGES = 200  # more don't change the medians by more than 0.5 % of the width
_SIDE = 256  # pixels, to which images are reduced: in a face crop, the face is large
_FOUND = 0.5  # fraction of the images in which a face must be found
_DIGITS = 4  # of the measured fractions
_SCATTER = 0.08  # median distance from the median position, as a fraction of the image's sides


def measure_framing(images: FaceTable | Sequence[str | Path]) -> Framing | None:
    """Measures how faces are framed in face crops, by detecting them.

    The positions are medians over up to 200 images, spread evenly over `images`. The result is
    logged.

    Args:
        images: a table, usually its train split, or paths of image files. Each image should show
            one face; if it shows several, the largest is used.

    Returns:
        An aligned framing if eyes and mouth are at similar positions in the images; otherwise a
        box framing if the corners of the detected boxes are; otherwise None: these are not face
        crops. Positions are similar if their median distance from the median position is at most
        8 % of the image's sides. None, too, if a face is found in less than half of the images.

    Raises:
        InputError: `images` is a single path, there is no image, or one can't be read.

    Example:
        >>> import tempfile
        >>> from keras_faramtn import read_dataset, synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = synthesize(folder, 10, progress=False)
        ...     framing = measure_framing(read_dataset(folder))
        >>> type(framing).__name__, round(framing.aspect, 2)
        ('AlignedFraming', 0.82)
    """
    if isinstance(images, str | Path):
        raise InputError(f"images must be a table or a list of paths; got {str(images)!r}.")
    paths = images.paths if isinstance(images, FaceTable) else [Path(path) for path in images]
    if not paths:
        raise InputError("there is no image to measure the framing of; specify some.")
    rows = evenly_spread(len(paths), _IMAGES)
    detector = FaceDetector()
    with ThreadPoolExecutor(available_cores()) as pool:
        measured = list(pool.map(lambda row: _measure(detector, paths[row]), rows))
    positions = np.array([points for _, points in measured if points is not None])
    framing, reason = None, f"a face was found in {len(positions):,} of {len(rows):,} images"
    if len(positions) >= _FOUND * len(rows):
        framing = _framing(np.median([aspect for aspect, _ in measured]), positions)
        reason += ", but at different positions"
    logger.info(
        "Framing of the faces, measured in %d images: %s",
        len(rows),
        f"unknown; {reason}" if framing is None else describe_framing(framing),
    )
    return framing


def evenly_spread(count: int, limit: int) -> np.ndarray:
    """At most `limit` of the numbers from 0 to `count` - 1, spread evenly, in increasing order.

    Example:
        >>> evenly_spread(10, 4).tolist()
        [0, 3, 6, 9]
    """
    return np.linspace(0, count - 1, min(count, limit)).round().astype(int)


def _measure(detector: FaceDetector, path: Path) -> tuple[float, np.ndarray | None]:
    """The aspect of an image and the positions in its largest face; None if there is no face."""
    image = load_upright(path)
    positions = face_positions(image, detector)
    return image.width / image.height, positions[0] if len(positions) else None


def face_positions(image: Image.Image, detector: FaceDetector) -> np.ndarray:
    """The positions of the faces in a face crop, as fractions of its width and height.

    The crop is reduced to 256 pixels before, so small faces in a large image are not found.

    Args:
        image: RGB, upright.
        detector: finds the faces.

    Returns:
        `(faces, 5, 2)`, largest face first: the left eye, the right eye, the mouth, and the top
        left and bottom right corners of the box, as in `AlignedFraming` and `BoxFraming`.
    """
    image = image.copy()
    image.thumbnail((_SIDE, _SIDE))
    positions = [
        [face.left_eye, face.right_eye, face.mouth, face.box[:2], face.box[2:]]
        for face in detector.detect(image)
    ]
    return np.array(positions).reshape(-1, 5, 2) / image.size


def _framing(aspect: float, positions: np.ndarray) -> Framing | None:
    """The framing in which the points, `(n, 5, 2)`, are at similar positions in all images."""
    centres = np.median(positions, axis=0)
    scatter = np.linalg.norm(positions - centres, axis=-1)
    left_eye, right_eye, mouth, top_left, bottom_right = (
        (x, y) for x, y in centres.round(_DIGITS).tolist()
    )
    aspect = round(float(aspect), _DIGITS)
    upright = left_eye[0] < right_eye[0] and max(left_eye[1], right_eye[1]) < mouth[1]
    if upright and np.median(scatter[:, :3]) <= _SCATTER:
        return AlignedFraming(aspect, left_eye, right_eye, mouth)
    if np.median(scatter[:, 3:]) <= _SCATTER:
        return BoxFraming(aspect, top_left, bottom_right)
    return None
