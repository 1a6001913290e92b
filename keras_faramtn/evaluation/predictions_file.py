"""A file of a model's predictions on one split, which saves predicting them again."""

import io
from pathlib import Path

import numpy as np

from keras_faramtn.atomic_files import atomic_write_bytes
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError

PREDICTIONS_FILE = "predictions.npz"


def write_predictions(
    path: Path, probabilities: np.ndarray, table: FaceTable, training: FaceTable | None
) -> None:
    """Writes predictions with the labels and what identifies the images.

    Args:
        path: the `.npz` file to write.
        probabilities: `(n, k)` in 0..1, columns in the order of the table's attributes.
        table: the n images.
        training: the images that the model was trained on, or None.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        probabilities=probabilities,
        labels=table.labels,
        images=np.array([image.name for image in table.paths]),
        attributes=np.array(table.attributes),
        training_digest="" if training is None else training.digest(),
    )
    atomic_write_bytes(path, content.getvalue())


def read_probabilities(path: Path, table: FaceTable, training: FaceTable) -> np.ndarray:
    """Reads the probabilities `(n, k)` that `write_predictions` wrote for the same data.

    Raises:
        InputError: the file can't be read, or belongs to other images or labels.

    Example:
        >>> import tempfile
        >>> table = FaceTable(
        ...     ("Smiling",),
        ...     (Path("a.jpg"), Path("b.jpg")),
        ...     np.array([[1], [0]], "int8"),
        ...     np.array([0, 1], "int8"),
        ...     Path("attributes.csv"),
        ...     np.array([2, 3]),
        ... )
        >>> training, validation = table.split("train"), table.split("validation")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / PREDICTIONS_FILE
        ...     write_predictions(path, np.array([[0.25]]), validation, training)
        ...     read_probabilities(path, validation, training).tolist()
        [[0.25]]
    """
    try:
        with np.load(path) as file:
            content = dict(file)
        same = (
            content["images"].tolist() == [image.name for image in table.paths]
            and content["attributes"].tolist() == list(table.attributes)
            and np.array_equal(content["labels"], table.labels)
            and content["training_digest"] == training.digest()
        )
        probabilities = content["probabilities"]
    except Exception as error:  # a damaged archive raises almost any exception
        raise InputError(
            f"{path}: this file of predictions is damaged ({error}). Remove {path.parent}/ to "
            "train that run again."
        ) from error
    if not same or probabilities.shape != table.labels.shape:
        raise InputError(
            f"{path}: this run was trained or scored on other images or labels; choose another "
            "folder with --to, or use the data that the comparison was started with."
        )
    return probabilities
