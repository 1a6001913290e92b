"""Predicts items, such as image files, in batches, while threads load the next ones."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

import numpy as np

from keras_faramtn.errors import InputError
from keras_faramtn.inference.predictions import check_probabilities
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.threads import map_ahead

Item = TypeVar("Item")
Details = TypeVar("Details")


def predict_items(
    predictor: Predictor,
    items: Iterable[Item],
    load: Callable[[Item], tuple[Details, np.ndarray]],
) -> Generator[tuple[Item, Details | InputError, np.ndarray]]:
    """Predicts the images of each item, in the order of the items.

    Images of several items are predicted together. Threads load the next items meanwhile, until
    their images fill a batch, so that the memory in use doesn't grow with the number of items.

    Args:
        predictor: the loaded model.
        items: whatever `load` takes; an error names an item as `str` writes it.
        load: called in threads; returns details of an item, which are passed on, and its images,
            uint8 `(k, height, width, 3)`, RGB in 0..255, of the size that the predictor takes. k
            may be zero.

    Yields:
        For each item: the item, its details, and its probabilities, float32 `(k, attributes)` in
        0..1. If `load` raises an `InputError`, or the model predicts numbers that aren't
        probabilities, the error takes the place of the details, and k is zero.

    Example:
        >>> from keras_faramtn.attributes import single_group
        >>> from keras_faramtn.model_record import ModelRecord
        >>> record = ModelRecord(single_group(["Smiling"]))
        >>> predictor = Predictor(record, (2, 2), lambda images: images[:, 0, 0, :1] / 255, 64)
        >>> def load(count):
        ...     return "all white", np.full((count, 2, 2, 3), 255, "uint8")
        >>> for item, details, probabilities in predict_items(predictor, [2, 0], load):
        ...     print(item, details, probabilities.tolist())
        2 all white [[1.0], [1.0]]
        0 all white []
    """

    def run(item: Item) -> _Loaded[Item, Details]:
        try:
            return item, *load(item)
        except InputError as error:
            return item, error, None

    none = np.zeros((0, len(predictor.attributes)), "float32")
    ahead = map_ahead(run, items, limit=predictor.batch_size, size=_count)
    with contextlib.closing(ahead) as loaded:
        for group in _groups(loaded, predictor.batch_size):
            good = [images for _, _, images in group if images is not None and len(images)]
            rows = iter(_predict(predictor, np.concatenate(good)) if good else none)
            for item, details, images in group:
                count = 0 if images is None else len(images)
                probabilities = np.stack([next(rows) for _ in range(count)]) if count else none
                try:
                    check_probabilities(item, predictor.attributes, probabilities)
                except InputError as error:
                    yield item, error, none
                else:
                    yield item, details, probabilities


_Loaded = tuple[Item, Details | InputError, np.ndarray | None]
"""An item, its details or its error, and its images, None after an error."""


def _count(loaded: _Loaded[Item, Details]) -> int:
    """The number of images of an item; 1 for an item without images, as its result waits too."""
    return 1 if loaded[2] is None else max(1, len(loaded[2]))


def _groups(
    loaded: Iterable[_Loaded[Item, Details]], batch_size: int
) -> Iterator[list[_Loaded[Item, Details]]]:
    """Groups items so that a group has at most one batch of images, or a single item."""
    group: list[_Loaded[Item, Details]] = []
    size = 0
    for each in loaded:
        if group and size + _count(each) > batch_size:
            yield group
            group, size = [], 0
        group.append(each)
        size += _count(each)
    if group:
        yield group


def _predict(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    starts = range(0, len(images), predictor.batch_size)
    return np.concatenate(
        [predictor.predict(images[start : start + predictor.batch_size]) for start in starts]
    )
