"""Runs a BlazeFace network with LiteRT on a square region of a photograph."""

from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np


@dataclass(frozen=True)
class BlazeFace:
    """One of the networks.

    Attributes:
        file: its file in this package.
        size: height and width in pixels of its input.
        anchors: for each grid of anchors its stride in pixels, and the anchors at each position.
    """

    file: str
    size: int
    anchors: tuple[tuple[int, int], ...]


# The anchors are those of MediaPipe's face_detection_{short,full}_range graphs.
SHORT_RANGE = BlazeFace("short_range.tflite", 128, ((8, 2), (16, 6)))
FULL_RANGE = BlazeFace("full_range.tflite", 192, ((4, 1),))

_LOGIT_LIMIT = 80.0  # keeps the sigmoid finite in float32


class BlazeFaceNetwork:
    """A loaded network. It is not safe for use by several threads at once.

    Args:
        kind: the network to load.

    Attributes:
        size: height and width in pixels of its input.
    """

    def __init__(self, kind: BlazeFace) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with as_file(files(__package__) / kind.file) as path:
            self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        outputs = self._interpreter.get_output_details()
        by_width = {int(output["shape"][-1]): output["index"] for output in outputs}
        self._coordinates, self._logits = by_width[16], by_width[1]
        self.size = kind.size
        self._anchors = _anchor_centres(kind)

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Detects faces, before the suppression of repeated detections.

        Args:
            pixels: uint8 `(size, size, 3)`, RGB.

        Returns:
            Points, float32 `(anchors, 8, 2)`, each x and y as fractions of the image: the box's
            top left and bottom right corners, the eyes (left and right in the image), the nose,
            the mouth and the ears; and scores, float32 `(anchors,)` in 0..1.
        """
        self._interpreter.set_tensor(self._input, (pixels.astype("float32") / 127.5 - 1)[None])
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._logits)[0, :, 0]
        scores = 1 / (1 + np.exp(-np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)))
        points = self._interpreter.get_tensor(self._coordinates)[0].reshape(-1, 8, 2) / self.size
        centre, half_size = points[:, 0] + self._anchors, points[:, 1] / 2
        landmarks = points[:, 2:] + self._anchors[:, None]
        box = np.stack([centre - half_size, centre + half_size], axis=1)
        return np.concatenate([box, landmarks], axis=1), scores


def _anchor_centres(kind: BlazeFace) -> np.ndarray:
    """The centres of the anchors, float32 `(anchors, 2)`, x and y as fractions of the image."""
    grids = []
    for stride, repeats in kind.anchors:
        steps = (np.arange(kind.size // stride) + 0.5) * stride / kind.size
        y, x = np.meshgrid(steps, steps, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(grids).astype("float32")
