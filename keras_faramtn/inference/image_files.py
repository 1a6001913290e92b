"""Predicts attributes of image files. A `.tflite` file runs without TensorFlow or Keras."""

from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_faramtn.data.images import find_images, load_image, load_upright
from keras_faramtn.errors import InputError
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.framing_check import warn_of_framing
from keras_faramtn.framing import Framing
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.predictions import Prediction, handle_bad_images
from keras_faramtn.inference.predictor import Predictor


def predict_files(
    model: str | Path | Predictor,
    images: Sequence[str | Path],
    *,
    skip_bad: bool = False,
    progress: bool = False,
) -> Iterator[Prediction]:
    """Predicts the attributes of image files, while the next files are decoded.

    If the model records how faces are framed in its training images, a warning is logged where one
    of three images, the first, the middle and the last one, is clearly framed in another way.

    Args:
        model: a file or a server, as for `load_predictor`, or a loaded model.
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
    predictor = model if isinstance(model, Predictor) else load_predictor(model)
    results = predict_face_crops(predictor, image_paths)
    good = handle_bad_images(results, total=len(image_paths), skip_bad=skip_bad, progress=progress)
    framing = predictor.record.framing
    if framing is None:
        return good
    # Not all: detection takes longer than prediction.
    checked = {image_paths[0], image_paths[len(image_paths) // 2], image_paths[-1]}
    return _with_framing_check(good, checked, framing, FaceDetector())


def predict_face_crops(
    predictor: Predictor, image_paths: Sequence[Path]
) -> Iterator[tuple[Path, dict[str, float] | InputError]]:
    """Predicts image files of one face each with a loaded model.

    Yields:
        Each image file, in order, with its probabilities in 0..1 by attribute, or its error.
    """

    def load(path: Path) -> tuple[None, np.ndarray]:
        return None, load_image(path, predictor.image_size)[None]

    for path, error, rows in predict_items(predictor, image_paths, load):
        if error is not None:
            yield path, error
        else:
            yield path, dict(zip(predictor.attributes, map(float, rows[0]), strict=True))


def _with_framing_check(
    predictions: Iterable[Prediction],
    checked: Container[Path],
    framing: Framing,
    detector: FaceDetector,
) -> Iterator[Prediction]:
    """Passes predictions on; warns once where one of the images `checked` is no such face crop."""
    warned = False
    for path, probabilities in predictions:
        if not warned and path in checked:
            warned = warn_of_framing(path, load_upright(path), framing, detector)
        yield path, probabilities
