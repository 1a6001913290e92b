"""From picture files to named probabilities; a `.tflite` is run without TensorFlow or Keras."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_faramtn.errors import InputError
from keras_faramtn.litert_model import LiteRTModel
from keras_faramtn.predictions import Prediction, settle

_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"}
LABELS_FILE = "labels.txt"
"""The attributes, a line each: beside exported files, and within a TFLite file, a zip too."""


@dataclass(frozen=True)
class Predictor:
    """A model file that is ready to predict pictures.

    Attributes:
        attributes: the names of the k probabilities.
        image_size: height and width in pixels of the pictures it takes.
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
    """Predicts picture files, one after the other.

    Args:
        model_file: as `load_predictor` takes.
        places: pictures, and folders of pictures, as `find_pictures` takes.
        skip_bad, progress: as in `settle`.

    Returns:
        Each picture with its probabilities, in 0..1, by attribute in canonical order.

    Raises:
        InputError: anything wrong with the model or a picture.
    """
    pictures = find_pictures(places)
    predictor = load_predictor(model_file)
    answers = ((picture, _answer(predictor, picture)) for picture in pictures)
    return settle(answers, total=len(pictures), skip_bad=skip_bad, progress=progress)


def _answer(predictor: Predictor, picture: Path) -> dict[str, float] | InputError:
    try:
        image = load_picture(picture, predictor.image_size)
    except InputError as error:
        return error
    probabilities = predictor.predict(image)
    return dict(zip(predictor.attributes, map(float, probabilities), strict=True))


def load_picture(path: str | Path, image_size: tuple[int, int]) -> np.ndarray:
    """A picture file as pixels, resized as in training (bilinear, antialiased).

    Args:
        path: as `load_upright` takes.
        image_size: height and width in pixels.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        InputError: the file is missing or is no picture.
    """
    height, width = image_size
    return np.asarray(load_upright(path).resize((width, height), Image.Resampling.BILINEAR))


def load_upright(path: str | Path) -> Image.Image:
    """A picture file in RGB, 8 bits, without alpha.

    Args:
        path: a picture in any format that Pillow reads; it is turned upright if it says how.

    Raises:
        InputError: the file is missing or is no picture.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                # Pillow would clip to 255 what TensorFlow, and everyone else, divides by 256.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype("uint8"))
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such picture.") from error
    except Exception as error:  # damaged EXIF data raises almost anything
        raise InputError(f"{path}: this can't be read as a picture: {error}.") from error


def find_pictures(places: Sequence[str | Path]) -> list[Path]:
    """The picture files that `places` name: files as they are, folders with all below them.

    Raises:
        InputError: a place that isn't there, or a folder without pictures.
    """
    found: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            inside = sorted(
                file for file in place.rglob("*") if file.suffix.lower() in _PICTURE_SUFFIXES
            )
            if not inside:
                raise InputError(f"{place}: there is no picture in this folder.")
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            raise InputError(f"{place}: there is no such picture or folder.")
    return found


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
