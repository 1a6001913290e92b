"""The common interface of models for prediction, whatever their file format."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_faramtn.model_record import ModelRecord


@dataclass(frozen=True)
class Predictor:
    """A loaded model that predicts batches of images, whatever its file format.

    Attributes:
        record: what the model predicts, and of what images.
        image_size: height and width in pixels of the images that it takes.
        predict: a function from images, uint8 `(batch, height, width, 3)`, RGB in 0..255, to their
            probabilities, float32 `(batch, attributes)` in 0..1.
        batch_size: the number of images to predict together for good speed.

    Example:
        >>> from keras_faramtn.attributes import single_group
        >>> record = ModelRecord(single_group(["Smiling"]))
        >>> predictor = Predictor(
        ...     record, (2, 2), lambda images: images[:, 0, 0, :1] / 255, batch_size=64
        ... )
        >>> predictor.attributes
        ('Smiling',)
        >>> predictor.predict(np.full((1, 2, 2, 3), 51, "uint8")).tolist()
        [[0.2]]
    """

    record: ModelRecord
    image_size: tuple[int, int]
    predict: Callable[[np.ndarray], np.ndarray]
    batch_size: int

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the attributes, in the order of the probabilities."""
        return self.record.groups.attributes
