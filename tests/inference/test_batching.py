import itertools
import time

import numpy as np
import pytest

from keras_faramtn.attributes import single_group
from keras_faramtn.errors import InputError
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.threads import available_cores

SIZE = (3, 2)
RECORD = ModelRecord(single_group(["first", "last"]))


def corners(images):
    """The values of the first and the last pixel, as fractions of 255."""
    return np.stack([images[:, 0, 0, 0], images[:, -1, -1, 2]], axis=1).astype("float32") / 255


def numbered(count, start):
    """Images whose first pixel is `start`, `start + 1`, ..., and whose last is 255 minus that."""
    images = np.zeros((count, *SIZE, 3), "uint8")
    images[:, 0, 0, 0] = start + np.arange(count)
    images[:, -1, -1, 2] = 255 - images[:, 0, 0, 0]
    return images


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_items_with_any_number_of_images_keep_their_order(batch_size):
    counts = [1, 0, 3, 9, 1, 0, 2, 5, 4, 0]
    starts = np.cumsum([0, *counts[:-1]])
    sizes = []

    def predict(images):
        sizes.append(len(images))
        return corners(images)

    def load(item):
        if item == 4:
            raise InputError("item 4 is bad")
        time.sleep(0.02 * (item % 2))  # threads finish in another order
        return f"details {item}", numbered(counts[item], starts[item])

    predictor = Predictor(RECORD, SIZE, predict, batch_size)
    results = list(predict_items(predictor, range(10), load))
    assert [item for item, _, _ in results] == list(range(10))
    for item, details, probabilities in results:
        if item == 4:
            assert isinstance(details, InputError)
            assert probabilities.shape == (0, 2)
        else:
            assert details == f"details {item}"
            values = (starts[item] + np.arange(counts[item])) / 255
            expected = np.stack([values, 1 - values], axis=1)
            np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert max(sizes) <= batch_size
    assert sum(sizes) == sum(counts) - counts[4]


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.01])
def test_numbers_that_are_not_probabilities_are_errors_of_their_item(value):
    def predict(images):
        rows = corners(images)
        rows[images[:, 0, 0, 0] == 1, 1] = value
        return rows

    predictor = Predictor(RECORD, SIZE, predict, 64)
    results = predict_items(predictor, "abc", lambda item: (None, numbered(1, ord(item) - 97)))
    (_, first, _), (_, second, rows), (_, third, _) = results
    assert (first, third) == (None, None)
    assert str(second).startswith(f"b: the model predicts {value:g} for last")
    assert rows.shape == (0, 2)


def test_other_errors_are_raised():
    def load(item):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        next(predict_items(Predictor(RECORD, SIZE, corners, 2), "a", load))


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_bounded_number_of_images_is_loaded_ahead(count):
    loaded = []

    def load(item):
        # The first items have few images, so that nothing tells how many the next ones have.
        loaded.append(min(count, 1) if item < 30 else count)
        return None, numbered(loaded[-1], 0)

    batch_size, threads = 20, max(4, available_cores())
    predictor = Predictor(RECORD, SIZE, corners, batch_size)
    results = predict_items(predictor, iter(range(10_000)), load)
    predicted = sum(len(rows) for _, _, rows in itertools.islice(results, 40))
    time.sleep(0.3)
    waiting = sum(loaded) - predicted
    assert waiting <= 2 * (batch_size + 2 * threads * max(count, 1))
    assert len(loaded) <= 40 + 2 * (batch_size + 2 * threads)


def test_loading_stops_when_its_caller_does():
    loaded = []

    def load(item):
        loaded.append(item)
        time.sleep(0.05)
        return None, numbered(1, 0)

    results = predict_items(Predictor(RECORD, SIZE, corners, 500), range(1000), load)
    next(predict_items(Predictor(RECORD, SIZE, corners, 1), range(1000), load))
    results.close()
    time.sleep(0.2)
    count = len(loaded)
    time.sleep(0.2)
    assert len(loaded) == count < 1000
