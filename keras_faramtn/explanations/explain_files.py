"""The command `faramtn explain`: evidence and attention for image files."""

import io
import itertools
import logging
from collections.abc import Container, Mapping, Sequence
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
from keras_faramtn.faces.framing_check import framing_problem
from keras_faramtn.framing import Framing
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models import load_model
from keras_faramtn.models.record import record_of

EVIDENCE_FILE = "evidence.npz"
ATTENTION_FILE, ATTENTION_FIGURE = "attention.npz", "attention.png"
FIGURES = "evidence"
"""The folder of the figures, one for each face."""

_BATCH_SIZE = 32

logger = logging.getLogger(__name__)


def explain_files(
    model_file: Path,
    images: Sequence[Path],
    folder: Path,
    *,
    attributes: Sequence[str] = (),
    detect: bool = False,
) -> None:
    """Explains the predictions of a model for image files.

    For a network with WSGSA or CGFF, `ATTENTION_FIGURE` and `ATTENTION_FILE` contain the arrays of
    `Attention`, averaged over the faces. With attributes, `FIGURES` contains a figure for each
    face, and `EVIDENCE_FILE` the arrays `images`, the names of the figures; `attributes`;
    `thresholds`; those of `Explanation`; and `occlusion`, the result of `occlude`.

    Args:
        model_file: a `.keras` file of this package.
        images: image files, and folders of image files, as for `find_images`.
        folder: a new or empty folder, written with `atomic_folder`.
        attributes: the attributes to explain.
        detect: the images are photographs, whose faces are found and cropped as the model's
            training images are; otherwise they are such crops.

    Raises:
        InputError: the model, an image, an attribute or the folder can't be used; there is no face
            in a photograph; or there is nothing to explain.
    """
    if model_file.suffix != ".keras":
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
    with atomic_folder(folder) as temporary:
        crops = _face_crops(model, paths, detect=detect)
        if attributes:
            _write_evidence(model, crops, attributes, temporary)
        if attentive:
            _write_attention(model, np.stack(list(crops.values())), temporary)
    logger.info("Faces explained: %s. The results are in %s/", f"{len(crops):,}", folder)


def _face_crops(
    model: keras.Model, paths: Sequence[Path], *, detect: bool
) -> dict[str, np.ndarray]:
    """The pixels of each face, uint8 `(height, width, 3)`, by a name of its own."""
    framing, size = record_of(model).framing, model.input_shape[1:3]
    detector = FaceDetector()
    crops: dict[str, np.ndarray] = {}
    for path in paths:
        image = load_upright(path)
        if detect:
            faces = _crop_faces(image, path, framing, size, detector)
        else:
            _warn_of_framing(image, path, framing, detector)
            faces = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))[None]
        for number, face in enumerate(faces, 1):
            name = path.stem if len(faces) == 1 else f"{path.stem}_face_{number}"
            crops[_unused(name, crops)] = face
    return crops


def _crop_faces(
    photograph: Image.Image,
    path: Path,
    framing: Framing | None,
    size: tuple[int, int],
    detector: FaceDetector,
) -> np.ndarray:
    if framing is None:
        raise InputError(
            "the model does not record how faces are framed in its training images; crop the faces "
            "like those, and omit --detect."
        )
    faces = detector.detect(photograph)
    if not faces:
        raise InputError(f"{path}: no face was found in this photograph.")
    return crop_faces(photograph, faces, framing, size)


def _warn_of_framing(
    image: Image.Image, path: Path, framing: Framing | None, detector: FaceDetector
) -> None:
    problem = framing and framing_problem(image, framing, detector)
    if problem:
        logger.warning(
            "%s is not framed as the training images: %s. With --detect, faces are found and "
            "cropped.",
            path,
            problem,
        )


def _unused(name: str, names: Container[str]) -> str:
    """`name`, with a number appended if it is in `names`."""
    candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(each for each in candidates if each not in names)


def _write_evidence(
    model: keras.Model, crops: Mapping[str, np.ndarray], attributes: Sequence[str], folder: Path
) -> None:
    record = record_of(model)
    every = record.thresholds or (DEFAULT_THRESHOLD,) * len(record.groups.attributes)
    thresholds = [every[record.groups.attributes.index(name)] for name in attributes]
    (folder / FIGURES).mkdir()
    explanations, occlusions = [], []
    for name, image in tqdm(crops.items(), desc="Explaining", unit=" images", disable=None):
        explanation = explain(model, image[None], attributes)
        occlusion = occlude(model, image[None], attributes)
        draw_explanation(
            image, explanation, occlusion, thresholds, folder / FIGURES / f"{name}.png"
        )
        explanations.append(explanation)
        occlusions.append(occlusion)
    arrays = {
        field: np.concatenate([getattr(each, field) for each in explanations])
        for field in ("logits", "probabilities", "high_level", "trunk", "evidence")
        if getattr(explanations[0], field) is not None
    }
    _write_arrays(
        folder / EVIDENCE_FILE,
        images=list(crops),
        attributes=list(attributes),
        thresholds=thresholds,
        bias=explanations[0].bias,
        occlusion=np.concatenate(occlusions),
        **arrays,
    )


def _write_attention(model: keras.Model, images: np.ndarray, folder: Path) -> None:
    """Writes the mean over the images."""
    sums: dict[str, np.ndarray] = {}
    for start in range(0, len(images), _BATCH_SIZE):
        attention = attention_of(model, images[start : start + _BATCH_SIZE])
        for name in ("gates", "to_groups", "to_positions"):
            values = getattr(attention, name)
            if values is not None:
                sums[name] = sums.get(name, 0) + values.sum(axis=0, keepdims=True)
    means = {name: total / len(images) for name, total in sums.items()}
    mean_image = images.mean(axis=0).astype("uint8")
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
