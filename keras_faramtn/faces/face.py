"""A face in a photograph."""

from dataclasses import dataclass

from keras_faramtn.framing import Point


@dataclass(frozen=True)
class Face:
    """A detected face. Coordinates are pixels of the upright photograph, from its top left corner.

    Attributes:
        left, top, right, bottom: the box around the face, from the eyebrows to the chin. It may
            extend beyond the photograph.
        score: the detector's confidence, in 0..1.
        left_eye, right_eye: the centres of the eyes as they appear in an upright face: `left_eye`
            is on the left of the image.
        nose, mouth: the tip of the nose, and the centre of the mouth.

    Example:
        >>> face = Face(10, 10, 30, 30, 0.9, (15, 15), (25, 15), (20, 20), (20, 25))
        >>> face.box
        (10, 10, 30, 30)
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float
    left_eye: Point
    right_eye: Point
    nose: Point
    mouth: Point

    @property
    def box(self) -> tuple[float, float, float, float]:
        """`(left, top, right, bottom)`."""
        return self.left, self.top, self.right, self.bottom
