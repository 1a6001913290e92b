"""Scores one shard. This runs on the computers of the cluster."""

import functools
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn import __version__
from keras_faramtn.atomic_files import digest
from keras_faramtn.data.images import load_image, load_upright
from keras_faramtn.errors import InputError, reason
from keras_faramtn.faces.alignment import crop_faces
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.face import Face
from keras_faramtn.framing import Framing
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.scoring.readers import SourceImage, read_shard
from keras_faramtn.scoring.shards import Shard
from keras_faramtn.scoring.table import ScoredImage, parquet_file


@dataclass(frozen=True)
class Scoring:
    """How all images of a run are scored.

    Attributes:
        model: the model file, an absolute path.
        model_hash: of its content.
        framing: how detected faces are cropped; None if the images are face crops.
        version: of this package, where the run was started.
    """

    model: Path
    model_hash: str
    framing: Framing | None
    version: str = __version__


_Loaded = tuple[tuple[Face, ...] | None, np.ndarray]
_Load = Callable[[SourceImage], _Loaded]


def score_shard(shard: Shard, scoring: Scoring) -> bytes:
    """Predicts the images of a shard.

    Returns:
        The content of a Parquet file, as by `parquet_file`.

    Raises:
        InputError: this computer doesn't have the files, or has another model or another version of
            this package.
    """
    if scoring.version != __version__:
        raise InputError(
            f"the computer {socket.gethostname()} of the cluster has version {__version__} of "
            f"keras_faramtn, but the run needs {scoring.version}; install it there."
        )
    if not any(file.exists() for file in shard.files):
        raise InputError(
            f"{shard.files[0]}: the computer {socket.gethostname()} of the cluster has no such "
            "file; put the input on storage that all computers of the cluster share."
        )
    predictor = _predictor(scoring.model, scoring.model_hash)
    load = _with_errors(_loader(predictor, scoring.framing))
    images = _score(predictor, load, read_shard(shard))
    return parquet_file(images, predictor.attributes, scoring.model_hash)


@functools.lru_cache(maxsize=1)  # a worker scores many shards
def _predictor(model: Path, model_hash: str) -> Predictor:
    if not model.is_file() or digest(model) != model_hash:
        raise InputError(
            f"{model}: the computer {socket.gethostname()} of the cluster has no such file, or "
            "another model under this name; put the model on storage that all computers share."
        )
    return load_predictor(model)


@functools.lru_cache(maxsize=1)
def _detector() -> FaceDetector:
    return FaceDetector()


def _loader(predictor: Predictor, framing: Framing | None) -> _Load:
    """A function that loads the face crops of an image, and the faces if it is a photograph."""
    size = predictor.image_size
    if framing is None:
        return lambda image: (None, load_image(image.path, size, image.content)[None])
    detector = _detector()

    def load(image: SourceImage) -> _Loaded:
        photograph = load_upright(image.path, image.content)
        faces = tuple(detector.detect(photograph))
        return faces, crop_faces(photograph, faces, framing, size)

    return load


def _with_errors(load: _Load) -> _Load:
    """A function that raises an `InputError` whatever goes wrong with an image.

    One image must not stop a run of millions.
    """

    def load_or_raise(image: SourceImage) -> _Loaded:
        try:
            if image.error:
                raise image.error
            return load(image)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{image}: {type(error).__name__}: {reason(error)}.") from error

    return load_or_raise


def _score(
    predictor: Predictor, load: _Load, images: Iterable[SourceImage]
) -> Iterator[ScoredImage]:
    for image, found, probabilities in predict_items(predictor, images, load):
        faces, error = (None, str(found)) if isinstance(found, InputError) else (found, None)
        yield ScoredImage(image.key, image.shard, faces, probabilities, error)
