"""Predicts attributes of image files. A `.tflite` file runs without TensorFlow or Keras."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn.data.images import find_images, load_images
from keras_faramtn.errors import InputError
from keras_faramtn.inference.label_files import read_labels
from keras_faramtn.inference.litert import LiteRTModel
from keras_faramtn.inference.predictions import Prediction, handle_bad_images

_MIN_AHEAD = 8  # images: enough for all threads that decode, also with batches of one image


@dataclass(frozen=True)
class Predictor:
    """A loaded model that predicts batches of images, whatever its file format.

    Attributes:
        attributes: the names of the attributes, in the order of the probabilities.
        image_size: height and width in pixels of the images that it takes.
        predict: a function from images, uint8 `(batch, height, width, 3)`, RGB in 0..255, to their
            probabilities, float32 `(batch, attributes)` in 0..1.
        batch_size: the number of images to predict together for good speed.

    Example:
        >>> predictor = Predictor(
        ...     ("Smiling",), (2, 2), lambda images: images[:, 0, 0, :1] / 255, batch_size=64
        ... )
        >>> predictor.predict(np.full((1, 2, 2, 3), 51, "uint8")).tolist()
        [[0.2]]
    """

    attributes: tuple[str, ...]
    image_size: tuple[int, int]
    predict: Callable[[np.ndarray], np.ndarray]
    batch_size: int


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


def predict_files(
    model_file: str | Path,
    images: Sequence[str | Path],
    *,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[Prediction]:
    """Predicts the attributes of image files, while the next files are decoded.

    Args:
        model_file: as for `load_predictor`.
        images: image files, and folders of image files, as for `find_images`.
        skip_bad: log a warning for a bad image and continue, instead of raising its error.
        progress: show a progress bar on standard error if there are several images.

    Returns:
        Each image file with its probabilities in 0..1, by attribute in canonical order.

    Raises:
        InputError: the model or an image can't be used.

    Example:
        >>> from PIL import Image
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import AttributeGroups, FARAMTN
        >>> groups = AttributeGroups({"eyes": ["Eyeglasses"], "mouth": ["Smiling"]},
        ...                          attributes=["Eyeglasses", "Smiling"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (32, 32, 3))
        >>> with TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.keras")
        ...     Image.new("RGB", (178, 218)).save(Path(folder) / "face.png")
        ...     for path, probabilities in predict_files(Path(folder) / "model.keras", [folder]):
        ...         print(path.name, sorted(probabilities))
        face.png ['Eyeglasses', 'Smiling']
    """
    image_paths = find_images(images)
    predictor = load_predictor(model_file)
    results = _predict_batches(predictor, image_paths)
    return handle_bad_images(results, total=len(image_paths), skip_bad=skip_bad, progress=progress)


def _predict_batches(
    predictor: Predictor, image_paths: Sequence[Path]
) -> Iterator[tuple[Path, dict[str, float] | InputError]]:
    """Yields each image file with its probabilities or its error, in order."""
    batch_size = max(1, min(predictor.batch_size, len(image_paths)))
    # While the network predicts one batch, the next one is decoded.
    images = load_images(image_paths, predictor.image_size, ahead=max(batch_size, _MIN_AHEAD))
    with contextlib.closing(images):
        for start in range(0, len(image_paths), batch_size):
            paths = image_paths[start : start + batch_size]
            loaded = list(itertools.islice(images, len(paths)))
            valid = [image for image in loaded if not isinstance(image, InputError)]
            # Padded to one size: Keras would compile the network again for every other size.
            batch = np.zeros((batch_size, *predictor.image_size, 3), "uint8")
            if valid:
                batch[: len(valid)] = valid
            probabilities = iter(predictor.predict(batch) if valid else ())
            for path, image in zip(paths, loaded, strict=True):
                if isinstance(image, InputError):
                    yield path, image
                else:
                    row = map(float, next(probabilities))
                    yield path, dict(zip(predictor.attributes, row, strict=True))


def _load_tflite(path: Path) -> Predictor:
    model = LiteRTModel(path)
    labels_path, attributes = read_labels(path)
    if len(attributes) != model.outputs:
        raise InputError(
            f"{labels_path}: it names {len(attributes)} attributes, but {path.name} predicts "
            f"{model.outputs}; keep the files of one export together."
        )
    return Predictor(
        attributes,
        model.image_size,
        lambda images: np.stack([model.predict(image) for image in images]),
        batch_size=1,
    )


def _load_keras(path: Path) -> Predictor:
    from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE
    from keras_faramtn.models import groups_of, inference_model, load_model

    model = load_model(path)
    inference = inference_model(model)
    return Predictor(
        groups_of(model).attributes,
        inference.input_shape[1:3],
        lambda images: np.asarray(inference.predict_on_batch(images)),
        EVALUATION_BATCH_SIZE,
    )
