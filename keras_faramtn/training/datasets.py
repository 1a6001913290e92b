"""What a recipe trains on."""

import tensorflow as tf

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.cache import cache_folder
from keras_faramtn.data.faces import FaceTable
from keras_faramtn.data.pipeline import make_dataset
from keras_faramtn.files import digest
from keras_faramtn.training.recipe import Recipe
from keras_faramtn.training.teacher import taught


def training_dataset(
    recipe: Recipe, table: FaceTable, groups: AttributeGroups, epoch: tf.Variable
) -> tuple[tf.data.Dataset, str]:
    """The batches of the train part as `recipe` says, with its teacher asked.

    Args:
        recipe: the experiment.
        table: all the data.
        groups: those that the network predicts.
        epoch: as in `make_dataset`.

    Returns:
        The dataset, as `make_dataset` gives it, and a text that tells its data, with the teacher,
        from other.

    Raises:
        InputError: as `make_dataset` and `taught`.
    """
    cache, teacher = cache_folder(recipe.data.cache), recipe.training.teacher
    pictures = table.part("train")
    data = pictures.digest()
    if teacher:
        print(f"Asking the teacher, {teacher.model}", flush=True)
        pictures = taught(pictures, teacher.model, teacher.share, cache)
        data = f"{data}, taught by {digest(teacher.model)}"
    dataset = make_dataset(
        pictures,
        groups,
        recipe.data.image_size,
        recipe.training.batch_size,
        shuffle=True,
        augment=recipe.data.augment,
        erase=recipe.data.erase,
        mixup=recipe.data.mixup,
        seed=recipe.training.seed,
        epoch=epoch,
        cache=cache,
    )
    return dataset, data
