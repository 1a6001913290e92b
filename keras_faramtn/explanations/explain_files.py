"""The command `faramtn explain`: evidence and attention for image files."""

import io
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder, atomic_write_bytes, check_folder
from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.data.images import find_images, load_upright
from keras_faramtn.errors import InputError
from keras_faramtn.explanations.anatomy import outputs_of
from keras_faramtn.explanations.attention import Attention, attention_of
from keras_faramtn.explanations.evidence import explain
from keras_faramtn.explanations.figures import draw_attention, draw_explanation
from keras_faramtn.explanations.occlusion import occlude
from keras_faramtn.faces.alignment import crop_faces
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.framing_check import warn_of_framing
from keras_faramtn.framing import Framing
from keras_faramtn.inference.drawn_files import drawn_paths
from keras_faramtn.inference.predictions import handle_bad_images
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models import load_model
from keras_faramtn.models.record import record_of

EVIDENCE_FILE = "evidence.npz"
ATTENTION_FILE, ATTENTION_FIGURE = "attention.npz", "attention.png"
FIGURES = "evidence"
"""The folder of the figures, one for each face."""

_BATCH_SIZE = 32  # of the attention
_EXPORTED = (".tflite", ".onnx")

logger = logging.getLogger(__name__)


def explain_files(
    model_file: str | Path,
    images: Sequence[Path],
    folder: Path,
    *,
    attributes: Sequence[str] = (),
    detect: bool = False,
    framing: Framing | None = None,
    skip_bad: bool = False,
) -> None:
    """Explains the predictions of a model for image files.

    For a network with WSGSA or CGFF, `ATTENTION_FIGURE` and `ATTENTION_FILE` contain the arrays of
    `Attention`, averaged over the faces. With attributes, `FIGURES` contains a figure for each
    face, and `EVIDENCE_FILE` these arrays:

    - `figures`, the paths of the n figures in `FIGURES`; `photographs`, the image files that their
      faces are in; `faces`, the numbers of the faces there, from 1;
    - `attributes`, their names, and `thresholds`;
    - those of `Explanation`; and `occlusion`, the result of `occlude`.

    The memory for images does not grow with their number.

    Args:
        model_file: what `load_model` takes.
        images: image files, and folders of image files, as for `find_images`.
        folder: a new or empty folder, written with `atomic_folder`.
        attributes: the attributes to explain.
        detect: the images are photographs, whose faces are found and cropped; those without a face
            are skipped with a warning. Otherwise the images are face crops, and a warning is logged
            for the first that is clearly not framed as the model's training images are.
        framing: how to crop the faces in photographs; None for the framing that the model records.
        skip_bad: log a warning for a bad image and continue, instead of raising its error.

    Raises:
        InputError: the model, an image, an attribute or the folder can't be used; there is no face
            in any photograph; the model records no framing, and `detect` needs one; or there is
            nothing to explain.
    """
    if str(model_file).endswith(_EXPORTED):
        raise InputError(
            f"{model_file}: only a .keras file can be explained; exported files don't give access "
            "to the feature maps inside the network."
        )
    check_folder(folder)
    paths = find_images(images)
    model = load_model(model_file)
    attentive = any(isinstance(layer, WSGSA | CGFF) for layer in model.layers)
    if attributes:
        outputs_of(model, attributes)
    elif not attentive:
        raise InputError(
            f"{model_file}: this network has neither WSGSA nor CGFF; name the attributes to "
            "explain with --attribute."
        )
    framing, size = framing or record_of(model).framing, model.input_shape[1:3]
    if not detect:
        crops = _resize_face_crops(paths, framing, size)
    elif framing is not None:
        crops = _crop_photographs(paths, framing, size)
    else:
        raise InputError(
            f"{model_file}: the model does not record how faces are framed in its training images; "
            "specify a framing: --framing celeba or box."
        )
    with atomic_folder(folder) as temporary:
        faces = _faces(paths, crops, detect=detect, skip_bad=skip_bad)
        if attributes:
            faces = _with_evidence(model, faces, attributes, temporary)
        if attentive:
            faces = _with_attention(model, faces, temporary)
        count = sum(1 for _ in faces)
    logger.info("Faces explained: %s. The results are in %s/", f"{count:,}", folder)


@dataclass(frozen=True)
class _Face:
    """A face to explain.

    Attributes:
        photograph: the image file that it is in.
        number: its number there, from 1.
        figure: the path of its figure in `FIGURES`.
        pixels: its crop, uint8 `(height, width, 3)`.
    """

    photograph: Path
    number: int
    figure: Path
    pixels: np.ndarray


_Crops = Iterator[tuple[Path, np.ndarray | InputError]]
"""Each image file with its k face crops, uint8 `(k, height, width, 3)`, or its error."""


def _resize_face_crops(
    paths: Sequence[Path], framing: Framing | None, size: tuple[int, int]
) -> _Crops:
    """Warns of the first image that is clearly not framed as `framing`, if that is known."""
    detector = FaceDetector()
    warned = False
    for path in paths:
        try:
            image = load_upright(path)
        except InputError as error:
            yield path, error
            continue
        if framing is not None and not warned:
            warned = warn_of_framing(path, image, framing, detector)
        yield path, np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))[None]


def _crop_photographs(paths: Sequence[Path], framing: Framing, size: tuple[int, int]) -> _Crops:
    detector = FaceDetector()
    for path in paths:
        try:
            photograph = load_upright(path)
        except InputError as error:
            yield path, error
        else:
            yield path, crop_faces(photograph, detector.detect(photograph), framing, size)


def _faces(
    paths: Sequence[Path], crops: _Crops, *, detect: bool, skip_bad: bool
) -> Iterator[_Face]:
    """Yields the faces under a progress bar; each photograph is read when its turn comes.

    Raises:
        InputError: a bad image without `skip_bad`, or there is no face at all.
    """
    figures = drawn_paths(paths, ".png")
    good = handle_bad_images(crops, total=len(paths), skip_bad=skip_bad, progress=False)
    found = False
    with tqdm(total=len(paths), desc="Explaining", unit=" faces", disable=None) as bar:
        for path, images in good:
            bar.total += len(images) - 1  # until here, it counted as one face
            if not len(images):
                logger.warning("%s: no face was found; the photograph is skipped.", path)
            for number, pixels in enumerate(images, 1):
                found = True
                figure = figures[path]
                if detect:
                    figure = figure.with_stem(f"{figure.stem}_face_{number}")
                yield _Face(path, number, figure, pixels)
                bar.update()
    if not found:
        raise InputError(
            "no face was found; if the images are face crops, explain them without --detect."
        )


def _with_evidence(
    model: keras.Model, faces: Iterator[_Face], attributes: Sequence[str], folder: Path
) -> Iterator[_Face]:
    """Draws the evidence for each face as it is passed on; writes the numbers at the end."""
    recorded = record_of(model).threshold_by_attribute or {}
    thresholds = [recorded.get(name, DEFAULT_THRESHOLD) for name in attributes]
    figures, photographs, numbers, explanations, occlusions = [], [], [], [], []
    for face in faces:
        image = face.pixels
        explanation = explain(model, image[None], attributes)
        occlusion = occlude(model, image[None], attributes)
        path = folder / FIGURES / face.figure
        draw_explanation(image, explanation, occlusion, thresholds, path)
        figures.append(face.figure.as_posix())
        photographs.append(str(face.photograph))
        numbers.append(face.number)
        explanations.append(explanation)
        occlusions.append(occlusion)
        yield face
    arrays = {
        field: np.concatenate([getattr(each, field) for each in explanations])
        for field in ("logits", "probabilities", "high_level", "trunk", "evidence")
        if getattr(explanations[0], field) is not None
    }
    _write_arrays(
        folder / EVIDENCE_FILE,
        figures=figures,
        photographs=photographs,
        faces=numbers,
        attributes=list(attributes),
        thresholds=thresholds,
        bias=explanations[0].bias,
        occlusion=np.concatenate(occlusions),
        **arrays,
    )


def _with_attention(model: keras.Model, faces: Iterator[_Face], folder: Path) -> Iterator[_Face]:
    """Passes the faces on in batches; writes the mean of their attention at the end."""
    sums: dict[str, np.ndarray] = {}
    count = 0
    while batch := list(itertools.islice(faces, _BATCH_SIZE)):
        images = np.stack([face.pixels for face in batch])
        attention = attention_of(model, images)
        for name, values in {**vars(attention), "images": images}.items():
            if isinstance(values, np.ndarray):
                total = values.sum(axis=0, keepdims=True, dtype="float64")
                sums[name] = sums.get(name, 0) + total
        count += len(batch)
        yield from batch
    means = {name: (total / count).astype("float32") for name, total in sums.items()}
    [mean_image] = means.pop("images").astype("uint8")
    draw_attention(Attention(attention.groups, **means), mean_image, folder / ATTENTION_FIGURE)
    _write_arrays(
        folder / ATTENTION_FILE,
        groups=list(attention.groups),
        **{name: mean[0] for name, mean in means.items()},
    )


def _write_arrays(path: Path, **arrays: Any) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    atomic_write_bytes(path, content.getvalue())
