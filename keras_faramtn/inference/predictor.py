"""From image files to named probabilities; a `.tflite` is run without TensorFlow or Keras."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.errors import InputError
from keras_faramtn.inference.litert import LiteRTModel
from keras_faramtn.inference.output import Prediction, skip_or_raise

LABELS_FILE = "labels.txt"
"""The attributes, a line each: beside exported files, and within a TFLite file, a zip too."""


@dataclass(frozen=True)
class Predictor:
    """A model file that is ready to predict images.

    Attributes:
        attributes: the names of the k probabilities.
        image_size: height and width in pixels of the images it takes.
        predict: from `(height, width, 3)` uint8, RGB, to k probabilities in 0..1.
    """

    attributes: tuple[str, ...]
    image_size: tuple[int, int]
    predict: Callable[[np.ndarray], np.ndarray]


def load_predictor(path: str | Path) -> Predictor:
    """Opens a model file for prediction.

    Args:
        path: a `.keras` file, or a `.tflite` file that `faramtn export` made, which has its
            `labels.txt` inside; another one needs it beside itself or in the folder above.

    Raises:
        InputError: a missing file, another kind of file, or no labels.
    """
    path = Path(path)
    openers = {".tflite": _open_tflite, ".keras": _open_keras}
    if path.suffix not in openers:
        raise InputError(f"{path}: a model to predict with is a .tflite or a .keras file.")
    return openers[path.suffix](path)


def predict_files(
    model_file: str | Path,
    places: Sequence[str | Path],
    *,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[Prediction]:
    """Predicts image files, one after the other.

    Args:
        model_file: as `load_predictor` takes.
        places: images, and folders of images, as `find_images` takes.
        skip_bad, progress: as in `skip_or_raise`.

    Returns:
        Each image with its probabilities, in 0..1, by attribute in canonical order.

    Raises:
        InputError: anything wrong with the model or an image.
    """
    paths = find_images(places)
    predictor = load_predictor(model_file)
    answers = ((image_path, _answer(predictor, image_path)) for image_path in paths)
    return skip_or_raise(answers, total=len(paths), skip_bad=skip_bad, progress=progress)


def _answer(predictor: Predictor, image_path: Path) -> dict[str, float] | InputError:
    try:
        image = load_image(image_path, predictor.image_size)
    except InputError as error:
        return error
    probabilities = predictor.predict(image)
    return dict(zip(predictor.attributes, map(float, probabilities), strict=True))


def _open_tflite(path: Path) -> Predictor:
    model = LiteRTModel(path)
    place, text = _labels(path)
    attributes = tuple(text.splitlines())
    if len(attributes) != model.outputs:
        raise InputError(
            f"{place}: it names {len(attributes)} attributes, and {path.name} predicts "
            f"{model.outputs}; keep the files of one export together."
        )
    return Predictor(attributes, model.image_size, model.predict)


def _labels(path: Path) -> tuple[Path, str]:
    """The attributes' names, a line each, and where they were found."""
    if zipfile.is_zipfile(path):  # as the file of an export is, behind the network
        with zipfile.ZipFile(path) as inside:
            if LABELS_FILE in inside.namelist():
                return path, inside.read(LABELS_FILE).decode("utf-8")
    for place in (path.with_name(LABELS_FILE), path.parent / ".." / LABELS_FILE):
        if place.is_file():
            return place, place.read_text(encoding="utf-8")
    raise InputError(
        f"{path}: the names of the attributes are missing; put a {LABELS_FILE} beside the file "
        "with their names, a line each, in the order of the outputs."
    )


def _open_keras(path: Path) -> Predictor:
    from keras_faramtn.models import groups_of, inference_model, load_model

    model = load_model(path)
    inference = inference_model(model)
    return Predictor(
        groups_of(model).attributes,
        inference.input_shape[1:3],
        lambda image: np.asarray(inference.predict_on_batch(image[None]))[0],
    )
