"""Runs BlazeFace's network with LiteRT on a square region of a photograph."""

from importlib.resources import as_file, files

import numpy as np

_FILE = "full_range.tflite"
_STRIDE = 4  # pixels; of MediaPipe's graph face_detection_full_range, with one anchor per position
_LOGIT_LIMIT = 80.0  # keeps the sigmoid finite in float32


class BlazeFaceNetwork:
    """MediaPipe's full-range network. It is not safe for use by several threads at once.

    Attributes:
        size: height and width in pixels of its input.
    """

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with as_file(files(__package__) / _FILE) as path:
            self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        [details] = self._interpreter.get_input_details()
        self._input, self.size = details["index"], int(details["shape"][1])
        outputs = self._interpreter.get_output_details()
        by_width = {int(output["shape"][-1]): output["index"] for output in outputs}
        self._coordinates, self._logits = by_width[16], by_width[1]
        self._anchors = _anchor_centres(self.size)

    def run(self, pixels: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
        """Detects faces, before the suppression of repeated detections.

        Args:
            pixels: uint8 `(size, size, 3)`, RGB.
            min_score: detections of a lower score are ignored.

        Returns:
            Points, float32 `(n, 8, 2)`, each x and y as fractions of the image: the box's top left
            and bottom right corners, the eyes (left and right in the image), the nose, the mouth
            and the ears; and scores, float32 `(n,)` in 0..1.
        """
        self._interpreter.set_tensor(self._input, (pixels.astype("float32") / 127.5 - 1)[None])
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._logits)[0, :, 0]
        scores = 1 / (1 + np.exp(-np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)))
        likely = scores >= min_score
        coordinates = self._interpreter.get_tensor(self._coordinates)[0, likely]
        points, anchors = coordinates.reshape(-1, 8, 2) / self.size, self._anchors[likely]
        centre, half_size = points[:, 0] + anchors, points[:, 1] / 2
        landmarks = points[:, 2:] + anchors[:, None]
        box = np.stack([centre - half_size, centre + half_size], axis=1)
        return np.concatenate([box, landmarks], axis=1), scores[likely]


def _anchor_centres(size: int) -> np.ndarray:
    """The centres of the anchors, float32 `(anchors, 2)`, x and y as fractions of the image."""
    steps = (np.arange(size // _STRIDE, dtype="float32") + 0.5) * _STRIDE / size
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)
