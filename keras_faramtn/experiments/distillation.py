"""Distillation: training labels blended with a trained network's predictions."""

import dataclasses
from pathlib import Path

import keras
import numpy as np

from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, make_dataset
from keras_faramtn.data.table import UNKNOWN, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.models import groups_of, inference_model, load_model


def distil_labels(
    table: FaceTable, teacher_file: str | Path, blend: float, cache: Path | None = None
) -> FaceTable:
    """Blends the labels of a table with a teacher's predicted probabilities.

    Knowledge distillation (Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network",
    2015). The teacher predicts every image and its mirror image once before training, so an epoch
    takes no longer than without a teacher. Its predictions show which images are ambiguous or
    mislabelled, so it also helps a student of the same architecture and size (Furlanello et al.,
    "Born-Again Neural Networks", ICML 2018).

    Args:
        table: the training images.
        teacher_file: a `.keras` file of this package that predicts the same attributes; its groups
            and its image size may differ from the student's.
        blend: the weight of the teacher's probabilities, in 0..1; the labels have the weight
            1 - blend. Unknown labels stay unknown.
        cache: as in `make_dataset`.

    Returns:
        The table with float32 labels: in 0..1, or -1 if unknown.

    Raises:
        InputError: if the file is missing, is not a model of this package, or predicts other
            attributes.
    """
    teacher = load_model(teacher_file)
    groups = groups_of(teacher)
    if groups.attributes != table.attributes:
        differing = sorted(set(groups.attributes) ^ set(table.attributes))
        raise InputError(
            f"{teacher_file}: the attributes of this teacher differ from those of {table.source}: "
            f"{', '.join(differing[:5]) or 'their order differs'}. Set training.teacher.model to a "
            "model of the same attributes."
        )
    dataset = make_dataset(
        table, groups, teacher.input_shape[1:3], EVALUATION_BATCH_SIZE, cache=cache
    )
    predictions = _mirror_averaged(teacher).predict(dataset)
    labels = table.labels.astype("float32")
    blended = np.where(labels == UNKNOWN, labels, (1 - blend) * labels + blend * predictions)
    return dataclasses.replace(table, labels=blended)


def _mirror_averaged(model: keras.Model) -> keras.Model:
    inference = inference_model(model)
    images = keras.Input(model.input_shape[1:])
    mirrored = inference(keras.ops.flip(images, axis=2))
    return keras.Model(images, (inference(images) + mirrored) / 2)
