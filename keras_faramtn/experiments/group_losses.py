"""The validation losses of the groups in a training run, and those of a constant prediction."""

from pathlib import Path

import keras
import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks.history_file import damaged_history, read_history
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE
from keras_faramtn.evaluation.convergence import constant_losses, validation_losses
from keras_faramtn.experiments.recipe import Training


def group_losses(folder: Path, groups: AttributeGroups, epochs: int) -> dict[str, list[float]]:
    """The validation losses of the groups of a finished training run, by epoch.

    Args:
        folder: of the run.
        groups: two or more, each an output of the network.
        epochs: how many the run has, by its recipe.

    Raises:
        InputError: the history is missing or damaged: it can't be read, or does not have the losses
            of these groups for all epochs. The message names the file and the remedy.

    Example:
        >>> import tempfile
        >>> groups = AttributeGroups({"eyes": ["Eyeglasses"], "mouth": ["Smiling"]},
        ...                          ["Eyeglasses", "Smiling"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "history.csv").write_text(
        ...         "epoch,val_eyes_loss,val_mouth_loss\\n0,0.5,0.3\\n1,0.4,0.2\\n")
        ...     group_losses(Path(folder), groups, epochs=2)
        {'eyes': [0.5, 0.4], 'mouth': [0.3, 0.2]}
    """
    losses = validation_losses(read_history(folder), groups)
    found = len(next(iter(losses.values()), []))
    if found != epochs:
        raise damaged_history(
            folder, f"has validation losses of the groups for {found} epochs instead of {epochs}"
        )
    return losses


def constant_group_losses(
    training: Training, groups: AttributeGroups, labels: np.ndarray, training_rates: np.ndarray
) -> dict[str, float]:
    """The loss of each group for a constant prediction, as training would log it for validation.

    It is exact for a run on one device and with the Keras backend of this process.

    Args:
        training: how the network is trained.
        groups: its groups.
        labels: of the validation split in the order of the table, as in `constant_losses`.
        training_rates: as in `constant_losses`.

    Example:
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> constant_group_losses(Training(epochs=1), groups, np.array([[1]]), np.array([0.5]))
        {'mouth': 0.6931471805599453}
    """
    return constant_losses(
        labels,
        training_rates,
        groups,
        training.positive_weight,
        training.label_smoothing,
        batch_size=EVALUATION_BATCH_SIZE,
        batches_by_size=keras.config.backend() != "tensorflow",
    )
