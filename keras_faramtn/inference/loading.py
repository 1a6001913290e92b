"""Loads models for prediction. A `.tflite` file runs without TensorFlow or Keras."""

from pathlib import Path

import numpy as np

from keras_faramtn.attributes import single_group
from keras_faramtn.errors import InputError
from keras_faramtn.inference.cores import available_cores
from keras_faramtn.inference.label_files import read_labels
from keras_faramtn.inference.litert import LiteRTModel
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord

_IMAGES_PER_CORE = 8  # few enough that a progress bar moves steadily


def load_predictor(path: str | Path) -> Predictor:
    """Loads a model file for prediction.

    Args:
        path: a `.keras` file, or a `.tflite` file. The files that `faramtn export` writes contain
            the names of the attributes; other `.tflite` files need a `labels.txt` in their folder
            or its parent folder.

    Raises:
        InputError: the file is missing or has another format, or there are no labels.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import AttributeGroups, FARAMTN
        >>> groups = AttributeGroups({"eyes": ["Eyeglasses"], "mouth": ["Smiling"]},
        ...                          attributes=["Eyeglasses", "Smiling"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (32, 32, 3))
        >>> with TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.keras")
        ...     predictor = load_predictor(Path(folder) / "model.keras")
        >>> predictor.attributes, predictor.image_size
        (('Eyeglasses', 'Smiling'), (32, 32))
    """
    path = Path(path)
    loaders = {".tflite": _load_tflite, ".keras": _load_keras}
    if path.suffix not in loaders:
        raise InputError(f"{path}: a model for prediction is a .tflite or a .keras file.")
    return loaders[path.suffix](path)


def _load_tflite(path: Path) -> Predictor:
    model = LiteRTModel(path)
    labels_path, attributes = read_labels(path)
    if len(attributes) != model.outputs:
        raise InputError(
            f"{labels_path}: it names {len(attributes)} attributes, but {path.name} predicts "
            f"{model.outputs}; keep the files of one export together."
        )
    cores = available_cores()
    return Predictor(
        ModelRecord(single_group(attributes)),
        model.image_size,
        model.predict_batch,
        batch_size=_IMAGES_PER_CORE * cores,
    )


def _load_keras(path: Path) -> Predictor:
    from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE
    from keras_faramtn.models import inference_model, load_model
    from keras_faramtn.models.record import record_of

    model = load_model(path)
    inference = inference_model(model)
    sizes: set[int] = set()

    def predict(images: np.ndarray) -> np.ndarray:
        # Padded to a size that Keras has compiled the network for, if there is one.
        count = len(images)
        size = min((size for size in sizes if size >= count), default=count)
        sizes.add(size)
        padding = [(0, size - count), (0, 0), (0, 0), (0, 0)]
        return np.asarray(inference.predict_on_batch(np.pad(images, padding)))[:count]

    return Predictor(record_of(model), inference.input_shape[1:3], predict, EVALUATION_BATCH_SIZE)
