"""The training data of a recipe."""

import logging

import tensorflow as tf

from keras_faramtn.atomic_files import digest
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.augmentation import Augmentation
from keras_faramtn.data.cache import cache_folder
from keras_faramtn.data.images import load_upright
from keras_faramtn.data.pipeline import make_dataset
from keras_faramtn.data.table import UNKNOWN, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.distillation import distil_labels
from keras_faramtn.experiments.recipe import MEASURED, Data, Recipe
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.framing_check import framing_problem
from keras_faramtn.faces.measure import evenly_spread, measure_framing
from keras_faramtn.framing import Framing, describe_framing, framing_from_json, framing_named

_CHECKED_IMAGES = 20  # whose framing is compared with the one that a recipe states

logger = logging.getLogger(__name__)


def training_dataset(
    recipe: Recipe, table: FaceTable, groups: AttributeGroups, epoch: tf.Variable
) -> tuple[tf.data.Dataset, str]:
    """Makes the dataset of the train split, with distilled labels if there is a teacher.

    Args:
        recipe: the experiment.
        table: all splits of the data.
        groups: the groups that the network predicts.
        epoch: as in `make_dataset`.

    Returns:
        The dataset, as `make_dataset` returns it, and a text that identifies the data and the
        teacher.

    Raises:
        InputError: every label of the train split is unknown; or as in `make_dataset` and
            `distil_labels`.
    """
    cache, teacher = cache_folder(recipe.data.cache), recipe.training.teacher
    images = table.split("train")
    _check_labels(images)
    data = images.digest()
    if teacher:
        logger.info("Predicting the training images with the teacher, %s", teacher.model)
        images = distil_labels(images, teacher.model, teacher.blend, cache)
        data = f"{data}, distilled from {digest(teacher.model)}"
    dataset = make_dataset(
        images,
        groups,
        recipe.data.image_size,
        recipe.training.batch_size,
        shuffle=True,
        augmentation=_augmentation(recipe.data),
        seed=recipe.training.seed,
        epoch=epoch,
        cache=cache,
    )
    return dataset, data


def _augmentation(data: Data) -> Augmentation | None:
    if data.augment:
        return Augmentation(data.erase, data.mixup, data.augmentation)
    return Augmentation(layers=data.augmentation, standard=False) if data.augmentation else None


def training_framing(recipe: Recipe, table: FaceTable) -> Framing | None:
    """How faces are framed in the images of the train split, as the recipe states it or measured.

    Args:
        recipe: the experiment.
        table: all splits of the data.
    """
    stated = recipe.data.framing
    if stated == MEASURED:
        return measure_framing(table.split("train"))
    framing = None
    if stated is not None:
        framing = framing_named(stated) if isinstance(stated, str) else framing_from_json(stated)
    logger.info("Framing of the faces: %s", describe_framing(framing))
    if framing is not None:
        _check_framing(table.split("train"), framing)
    return framing


def _check_framing(images: FaceTable, framing: Framing) -> None:
    """Warns if most of a few training images are clearly framed in another way."""
    rows = evenly_spread(len(images), _CHECKED_IMAGES)
    detector = FaceDetector()
    problems = {
        path: framing_problem(load_upright(path), framing, detector)
        for path in images.take(rows).paths
    }
    wrong = {path: problem for path, problem in problems.items() if problem}
    if len(wrong) > len(rows) / 2:
        path, problem = next(iter(wrong.items()))
        logger.warning(
            "data.framing: the training images are framed in another way. In %s, for example, %s. "
            "With data.framing: measured, the framing is measured in the images.",
            path,
            problem,
        )


def _check_labels(images: FaceTable) -> None:
    """Warns about attributes without a known label; raises an error if no label is known at all."""
    known = (images.labels != UNKNOWN).any(axis=0)
    if not known.any():
        raise InputError(f"{images.source}: every label of the train split is unknown.")
    unknown = [
        name for name, any_known in zip(images.attributes, known, strict=True) if not any_known
    ]
    if unknown:
        logger.warning(
            "%s: no training image has a known label of %s, so the network does not learn %s.",
            images.source,
            ", ".join(unknown),
            "it" if len(unknown) == 1 else "them",
        )
