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
    """`table` with labels between those given and the probabilities that a teacher answers.

    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, with the teacher
    asked once for each image and for its mirror image, before training, so that an epoch takes
    no longer than without. A teacher tells which images are doubtful or labelled wrong, so it
    helps a network of its own kind and size too (Furlanello et al., "Born-Again Neural Networks",
    ICML 2018).

    Args:
        table: the images to train on.
        teacher_file: a `.keras` file of this package that predicts the same attributes, in groups
            and from images of any size.
        blend: of the teacher's answer in each label, in 0..1. Unknown labels stay unknown.
        cache: as in `make_dataset`.

    Returns:
        The table with float32 labels: in 0..1, or -1 where unknown.

    Raises:
        InputError: the file is missing, no model of this package, or one of other attributes.
    """
    teacher = load_model(teacher_file)
    groups = groups_of(teacher)
    if groups.attributes != table.attributes:
        differing = sorted(set(groups.attributes) ^ set(table.attributes))
        raise InputError(
            f"{teacher_file}: this teacher was trained on other attributes than {table.source} "
            f"has: {', '.join(differing[:5]) or 'the same in another order'}. Give "
            "training.teacher.model a model of the same attributes."
        )
    dataset = make_dataset(
        table, groups, teacher.input_shape[1:3], EVALUATION_BATCH_SIZE, cache=cache
    )
    answers = _with_mirror_image(teacher).predict(dataset)
    labels = table.labels.astype("float32")
    softened = np.where(labels == UNKNOWN, labels, (1 - blend) * labels + blend * answers)
    return dataclasses.replace(table, labels=softened)


def _with_mirror_image(model: keras.Model) -> keras.Model:
    inference = inference_model(model)
    images = keras.Input(model.input_shape[1:])
    mirrored = inference(keras.ops.flip(images, axis=2))
    return keras.Model(images, (inference(images) + mirrored) / 2)
