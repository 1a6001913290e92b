"""How much the logits fall where an image is blurred."""

from collections.abc import Sequence

import keras
import numpy as np
from scipy.ndimage import gaussian_filter

from keras_faramtn.explanations.anatomy import check_images, outputs_of, to_array

_STEPS = 10  # of the window along the shorter side of the image
_BATCH_SIZE = 64


def occlude(model: keras.Model, images: np.ndarray, attributes: Sequence[str]) -> np.ndarray:
    """Measures how much the logit of each attribute falls where an image is blurred.

    A square window, a fifth of the image's shorter side, moves over the image in steps of half its
    side. Inside it, the image is blurred by a Gaussian filter of half the window's side. That
    removes details and keeps colours, and introduces fewer new edges than a window of one colour.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section
    4.2; the blur is that of Fong and Vedaldi, ICCV 2017.

    Args:
        model: a network of this package, or an `inference_model` of one.
        images: `(n, height, width, 3)`, uint8 or float, RGB in 0..255, of the network's size.
        attributes: one or more attributes of the network.

    Returns:
        float32 `(n, attributes, rows, columns)`: the logit of the image minus that of the image
        with a blurred window. The steps divide the image into cells; each window is centred on one
        of them, and is cut off at the edges of the image.

    Raises:
        InputError: as in `explain`.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (40, 32, 3))
        >>> occlude(model, np.full((2, 40, 32, 3), 128, "uint8"), ["Young"]).shape
        (2, 1, 14, 11)
    """
    images = check_images(model, images)
    outputs = outputs_of(model, attributes).values()
    network = keras.Model(model.inputs[0], {head.name: head.output for head, _ in outputs})

    def logits(batch: np.ndarray) -> np.ndarray:
        by_group = network(batch, training=False)
        return np.stack([to_array(by_group[head.name])[:, index] for head, index in outputs])

    height, width = images.shape[1:3]
    step = cell_side(height, width)
    rows, columns = (-(-side // step) for side in (height, width))
    falls = np.empty((len(images), len(outputs), rows * columns), "float32")
    for image, fall in zip(images, falls, strict=True):
        blurred = gaussian_filter(image, (step, step, 0), mode="nearest")
        for first in range(0, rows * columns, _BATCH_SIZE):
            cells = range(first, min(first + _BATCH_SIZE, rows * columns))
            batch = np.stack([image] * (1 + len(cells)))
            for hidden, cell in zip(batch[1:], cells, strict=True):
                window = tuple(
                    slice(max(0, round((i - 0.5) * step)), round((i + 1.5) * step))
                    for i in divmod(cell, columns)
                )
                hidden[window] = blurred[window]
            found = logits(batch)
            fall[:, cells] = found[:, :1] - found[:, 1:]
    return falls.reshape(*falls.shape[:2], rows, columns)


def cell_side(height: int, width: int) -> int:
    """The side in pixels of a cell of `occlude`, the step of its window, for an image's size.

    Example:
        >>> cell_side(96, 80)
        8
    """
    return max(1, round(min(height, width) / _STEPS))
