"""Predicts attributes of image files. A `.tflite` file runs without TensorFlow or Keras."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.errors import InputError
from keras_faramtn.inference.label_files import LABELS_FILE
from keras_faramtn.inference.litert import LiteRTModel
from keras_faramtn.inference.predictions import Prediction, handle_bad_images


@dataclass(frozen=True)
class Predictor:
    """A loaded model that predicts one image at a time, whatever its file format.

    Attributes:
        attributes: the names of the attributes, in the order of the probabilities.
        image_size: height and width in pixels of the images that it takes.
        predict: a function from one image, uint8 `(height, width, 3)`, RGB in 0..255, to its
            probabilities, float32 `(attributes,)` in 0..1.

    Example:
        >>> import numpy as np
        >>> predictor = Predictor(("Smiling",), (2, 2), lambda image: image.mean((0, 1))[:1] / 255)
        >>> float(predictor.predict(np.full((2, 2, 3), 51, "uint8"))[0])
        0.2
    """

    attributes: tuple[str, ...]
    image_size: tuple[int, int]
    predict: Callable[[np.ndarray], np.ndarray]


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
    """Predicts the attributes of image files, one by one.

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
    results = ((path, _predict_file(predictor, path)) for path in image_paths)
    return handle_bad_images(results, total=len(image_paths), skip_bad=skip_bad, progress=progress)


def _predict_file(predictor: Predictor, image_path: Path) -> dict[str, float] | InputError:
    try:
        image = load_image(image_path, predictor.image_size)
    except InputError as error:
        return error
    probabilities = predictor.predict(image)
    return dict(zip(predictor.attributes, map(float, probabilities), strict=True))


def _load_tflite(path: Path) -> Predictor:
    model = LiteRTModel(path)
    labels_path, labels = _read_labels(path)
    attributes = tuple(labels.splitlines())
    if len(attributes) != model.outputs:
        raise InputError(
            f"{labels_path}: it names {len(attributes)} attributes, but {path.name} predicts "
            f"{model.outputs}; keep the files of one export together."
        )
    return Predictor(attributes, model.image_size, model.predict)


def _read_labels(path: Path) -> tuple[Path, str]:
    """The file with the names of the attributes, and its text: one name per line."""
    if zipfile.is_zipfile(path):  # exported files have the labels in an appended archive
        with zipfile.ZipFile(path) as archive:
            if LABELS_FILE in archive.namelist():
                return path, archive.read(LABELS_FILE).decode("utf-8")
    for labels_path in (path.with_name(LABELS_FILE), path.parent / ".." / LABELS_FILE):
        if labels_path.is_file():
            return labels_path, labels_path.read_text(encoding="utf-8")
    raise InputError(
        f"{path}: the names of the attributes are missing; put a {LABELS_FILE} into its folder "
        "that lists them in the order of the outputs, one per line."
    )


def _load_keras(path: Path) -> Predictor:
    from keras_faramtn.models import groups_of, inference_model, load_model

    model = load_model(path)
    inference = inference_model(model)
    return Predictor(
        groups_of(model).attributes,
        inference.input_shape[1:3],
        lambda image: np.asarray(inference.predict_on_batch(image[None]))[0],
    )
