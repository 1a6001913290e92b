"""Batches of one size, for networks that are compiled for it or accept no other."""

import numpy as np


def pad_batch(images: np.ndarray, size: int) -> np.ndarray:
    """Images followed by black images, `size` in all.

    Args:
        images: `(n, height, width, 3)`; n is at most `size`.
        size: the size of the batch.

    Example:
        >>> pad_batch(np.ones((2, 4, 3, 3)), 5).sum(axis=(1, 2, 3)).tolist()
        [36.0, 36.0, 0.0, 0.0, 0.0]
    """
    return np.pad(images, [(0, size - len(images)), (0, 0), (0, 0), (0, 0)])
