"""Predicts the attributes of every face in photographs."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn.data.images import find_images, load_upright
from keras_faramtn.errors import InputError
from keras_faramtn.faces.alignment import crop_faces
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.face import Face
from keras_faramtn.framing import Framing, check_framing
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.predictions import describe_prediction, handle_bad_images
from keras_faramtn.inference.predictor import Predictor


@dataclass(frozen=True)
class FacePrediction:
    """The prediction for one face in a photograph.

    Attributes:
        index: the number of the face in its photograph, from 1; larger faces come first.
        face: its box and landmarks in pixels of the upright photograph, and the detector's score.
        probabilities: in 0..1, by attribute in canonical order.

    Example:
        >>> face = Face(10, 10, 30, 30, 0.9, (15, 15), (25, 15), (20, 20), (20, 25))
        >>> FacePrediction(1, face, {"Smiling": 0.75}).face.box
        (10, 10, 30, 30)
    """

    index: int
    face: Face
    probabilities: dict[str, float]


@dataclass(frozen=True)
class PhotographPrediction:
    """The predictions for the faces in a photograph.

    Attributes:
        path: the image file.
        faces: one prediction per face, largest face first; empty if no face was found.

    Example:
        >>> PhotographPrediction(Path("landscape.jpg"), ()).faces
        ()
    """

    path: Path
    faces: tuple[FacePrediction, ...]


def predict_photographs(
    model: str | Path | Predictor,
    photographs: Sequence[str | Path],
    *,
    framing: Framing | None = None,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[PhotographPrediction]:
    """Predicts the attributes of every face in photographs.

    Faces are found, cropped as the model's training images are, and predicted in batches, while
    threads work on the next photographs. The memory in use does not grow with their number.

    Args:
        model: a file or a server, as for `load_predictor`, or a loaded model.
        photographs: image files, and folders of image files, as for `find_images`. They are turned
            upright as their EXIF orientation requires.
        framing: how to crop the faces; None for the framing that the model records.
        skip_bad: log a warning for a bad image and continue, instead of raising its error.
        progress: show a progress bar on standard error if there are several photographs.

    Returns:
        One prediction per photograph, in order. Photographs without a face are included.

    Raises:
        InputError: the model or a photograph can't be used; `framing` is not a framing; or the
            model records none, and none is specified.

    Example:
        >>> from PIL import Image
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import CELEBA_FRAMING, MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling"], (32, 32, 3))
        >>> with TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.keras")
        ...     Image.new("RGB", (64, 48)).save(Path(folder) / "black.png")
        ...     for photograph in predict_photographs(
        ...         Path(folder) / "model.keras", [folder], framing=CELEBA_FRAMING
        ...     ):
        ...         print(photograph.path.name, len(photograph.faces))
        black.png 0
    """
    paths = find_images(photographs)
    predictor = model if isinstance(model, Predictor) else load_predictor(model)
    framing = framing or predictor.record.framing
    if framing is None:
        raise InputError(
            "the model does not record how faces are framed in its training images; specify a "
            "framing: --framing celeba at the command line, CELEBA_FRAMING in Python."
        )
    results = _predict_faces(predictor, FaceDetector(), paths, check_framing(framing))
    good = handle_bad_images(results, total=len(paths), skip_bad=skip_bad, progress=progress)
    return (PhotographPrediction(path, faces) for path, faces in good)


def _predict_faces(
    predictor: Predictor, detector: FaceDetector, paths: Sequence[Path], framing: Framing
) -> Iterator[tuple[Path, tuple[FacePrediction, ...] | InputError]]:
    """Yields each photograph with the predictions for its faces or its error, in order."""

    def load(path: Path) -> tuple[list[Face], np.ndarray]:
        photograph = load_upright(path)
        faces = detector.detect(photograph)
        return faces, crop_faces(photograph, faces, framing, predictor.image_size)

    for path, faces, rows in predict_items(predictor, paths, load):
        if isinstance(faces, InputError):
            yield path, faces
            continue
        probabilities = [
            dict(zip(predictor.attributes, map(float, row), strict=True)) for row in rows
        ]
        yield path, tuple(map(FacePrediction, itertools.count(1), faces, probabilities))


def describe_photograph(
    prediction: PhotographPrediction, thresholds: Mapping[str, float] | None = None
) -> Iterator[str]:
    """A line for each face, with its attributes as `describe_prediction` lists them.

    Example:
        >>> list(describe_photograph(PhotographPrediction(Path("landscape.jpg"), ())))
        ['landscape.jpg: no face found']
    """
    if not prediction.faces:
        yield f"{prediction.path}: no face found"
    for each in prediction.faces:
        attributes = describe_prediction(each.probabilities, thresholds)
        yield f"{prediction.path}, face {each.index} of {len(prediction.faces)}: {attributes}"
