"""Checks whether an image is framed like the images that a network was trained with."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.measure import face_positions
from keras_faramtn.framing import AlignedFraming, Framing

CHECKED_IMAGES = 3
"""The number of images, the first ones, whose framing is checked: detection takes longer than
prediction."""

# Of 1,738 face crops framed as those of the network, one exceeds these.
_MAX_OFFSET = 0.1  # of the face's centre, as a fraction of the image's sides
_MAX_RATIO = 1.5  # of its size to that in the framing, or the reverse

logger = logging.getLogger(__name__)


def framing_problem(image: Image.Image, framing: Framing, detector: FaceDetector) -> str | None:
    """Why an image is clearly not a face crop in a framing, so that predictions are unreliable.

    It clearly is not one if it shows no face, or if no face in it is near its position in the
    framing, within 10 % of the image's sides, and of a similar size, within a factor of 1.5.

    Args:
        image: RGB, upright, not yet resized for the network.
        framing: how faces are framed in the images that the network was trained with.
        detector: finds the faces.

    Returns:
        The reason, as a clause for a message; None if the image may be such a face crop.

    Example:
        >>> from keras_faramtn.framing import CELEBA_FRAMING
        >>> framing_problem(Image.new("RGB", (178, 218)), CELEBA_FRAMING, FaceDetector())
        'it shows no face'
    """
    faces = face_positions(image, detector)
    if not len(faces):
        return "it shows no face"
    if isinstance(framing, AlignedFraming):
        found, expected = faces[:, :3], [framing.left_eye, framing.right_eye, framing.mouth]
    else:
        found, expected = faces[:, 3:], [framing.top_left, framing.bottom_right]
    offsets = np.linalg.norm(found.mean(axis=1) - np.mean(expected, axis=0), axis=-1)
    ratios = found.std(axis=1).mean(axis=-1) / np.std(expected, axis=0).mean()
    framed = (offsets <= _MAX_OFFSET) & (np.maximum(ratios, 1 / ratios) <= _MAX_RATIO)
    if framed.any():
        return None
    if len(faces) > 1:
        return f"it shows {len(faces)} faces"
    if offsets[0] > _MAX_OFFSET:
        away = f"{100 * offsets[0]:.0f} % of its width and height"
        return f"its face is {away} away from where faces are in the training images"
    return f"its face has {ratios[0]:.1f} times the size of faces in the training images"


def warn_of_framing(
    path: Path, image: Image.Image, framing: Framing, detector: FaceDetector
) -> bool:
    """Logs a warning if an image is clearly not a face crop in a framing.

    Args:
        path: the image file, for the message.
        image, framing, detector: as in `framing_problem`.

    Returns:
        Whether a warning was logged.

    Example:
        >>> from keras_faramtn.framing import CELEBA_FRAMING
        >>> image = Image.new("RGB", (178, 218))
        >>> warn_of_framing(Path("black.png"), image, CELEBA_FRAMING, FaceDetector())
        True
    """
    problem = framing_problem(image, framing, detector)
    if problem:
        logger.warning(
            "%s: %s, so predictions are unreliable; use --detect (in Python: detect=True, or "
            "predict_photographs) to find and crop faces.",
            path,
            problem,
        )
    return problem is not None
