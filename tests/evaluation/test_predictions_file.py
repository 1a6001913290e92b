import dataclasses
from pathlib import Path

import numpy as np
import pytest

from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.predictions_file import read_probabilities, write_predictions

TABLE = FaceTable(
    attributes=("hat", "happy"),
    paths=(Path("a.jpg"), Path("b.jpg"), Path("c.jpg")),
    labels=np.array([[1, 0], [0, -1], [1, 1]], "int8"),
    splits=np.array([0, 1, 1], "int8"),
    source=Path("attributes.csv"),
    lines=np.array([2, 3, 4]),
)
TRAINING, SCORED = TABLE.split("train"), TABLE.split("validation")
PROBABILITIES = np.array([[0.25, 0.5], [0.75, 1.0]], "float32")


@pytest.fixture
def path(tmp_path):
    write_predictions(tmp_path / "predictions.npz", PROBABILITIES, SCORED, TRAINING)
    return tmp_path / "predictions.npz"


def test_probabilities_of_the_same_data_are_read(path):
    np.testing.assert_array_equal(read_probabilities(path, SCORED, TRAINING), PROBABILITIES)


@pytest.mark.parametrize(
    ("scored", "training"),
    [
        (SCORED.take([1, 0]), TRAINING),
        (dataclasses.replace(SCORED, labels=1 - SCORED.labels), TRAINING),
        (dataclasses.replace(SCORED, attributes=("hat", "sad")), TRAINING),
        (SCORED, dataclasses.replace(TRAINING, labels=1 - TRAINING.labels)),
    ],
)
def test_other_images_labels_or_attributes_are_refused(path, scored, training):
    with pytest.raises(InputError, match=r"predictions\.npz: .*trained or scored on other images"):
        read_probabilities(path, scored, training)


def test_a_damaged_file_is_reported(path):
    content = bytearray(path.read_bytes())
    for damaged in (b"", content[: len(content) // 2], b"not an archive"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"predictions\.npz: .* is damaged"):
            read_probabilities(path, SCORED, TRAINING)
