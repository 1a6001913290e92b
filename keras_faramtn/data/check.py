"""Reads a data set and decodes every image, so that training doesn't fail on a bad file."""

import dataclasses
import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import UnidentifiedImageError
from tqdm import tqdm

from keras_faramtn.data.decoding import decode
from keras_faramtn.data.images import (
    TENSORFLOW_FORMATS,
    open_image,
    refuse_special_file,
    to_upright_rgb,
)
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.data.table import SHOWN_PROBLEMS, SPLITS, FaceTable, Problem, refuse_problems
from keras_faramtn.errors import reason

logger = logging.getLogger(__name__)

_THREADS = 4  # TensorFlow and Pillow release Python's global lock while they decode


def check_data(
    source: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> FaceTable:
    """Reads the labels of a data set, decodes every image, and logs what was skipped.

    Args:
        source: the folder or file of a data set, as for `read_dataset`.
        attributes: as for `read_dataset`.
        skip_bad: skip invalid rows and images, instead of raising an error.

    Returns:
        The table of the valid rows; what was skipped is in its `problems`.

    Raises:
        InputError: as in `read_dataset` and `check_images`.

    Example:
        >>> import tempfile
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = synthesize(folder, 4, image_size=(64, 64), progress=False)
        ...     len(check_data(folder))
        4
    """
    table = read_dataset(source, attributes, skip_bad=skip_bad)
    table = check_images(table, skip_bad=skip_bad)
    for problem in table.problems[:SHOWN_PROBLEMS]:
        logger.warning(problem)
    if table.problems:
        logger.warning(
            f"{source}: {len(table.problems)} problems; continuing with {len(table):,} images."
        )
    return table


def describe(table: FaceTable) -> str:
    """The number of images in each split and the positive rate of each attribute, as text.

    Example:
        >>> import numpy as np
        >>> table = FaceTable(
        ...     ("Smiling",),
        ...     (Path("a.jpg"), Path("b.jpg")),
        ...     np.array([[1], [0]]),
        ...     np.array([0, 0]),
        ...     Path("labels.csv"),
        ...     np.array([2, 3]),
        ... )
        >>> print(describe(table))
        2 images: 2 train, 0 validation, 0 test.
        Positive rate among the known labels:
          Smiling              50.0 %
    """
    splits = ", ".join(
        f"{(table.splits == number).sum():,} {split}" for split, number in SPLITS.items()
    )
    lines = [f"{len(table):,} images: {splits}.", "Positive rate among the known labels:"]
    for column, attribute in enumerate(table.attributes):
        known = table.labels[table.labels[:, column] >= 0, column]
        rate = f"{100 * known.mean():5.1f} %" if len(known) else "no known label"
        lines.append(f"  {attribute:<20}{rate}")
    return "\n".join(lines)


def check_images(table: FaceTable, *, skip_bad: bool = False, progress: bool = True) -> FaceTable:
    """Decodes every image completely.

    Args:
        table: the images.
        skip_bad: skip invalid images, instead of raising an error.
        progress: show a progress bar on standard error.

    Returns:
        The table without the invalid images, which are added to its `problems`.

    Raises:
        InputError: an image is missing, or can't be read for one of the reasons of `load_upright`.
            With `skip_bad`, only if all images are invalid. The message names the image, the label
            file and the line.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        messages = list(
            tqdm(
                pool.map(_decode_error, table.paths),
                total=len(table),
                desc="Checking images",
                unit=" images",
                disable=None if progress else True,  # None hides it where there is no terminal
            )
        )
    bad = np.array([message is not None for message in messages])
    problems = [
        Problem(table.source, int(line), message, table.unit)
        for line, message in zip(table.lines, messages, strict=True)
        if message is not None
    ]
    problems = [*table.problems, *problems]
    refuse_problems(problems, remaining=int((~bad).sum()), skip_bad=skip_bad)
    return dataclasses.replace(table.take(~bad), problems=tuple(problems))


def _decode_error(path: Path) -> str | None:
    """What is wrong with an image file; None if training can decode it."""
    try:
        refuse_special_file(path)
        content = path.read_bytes()
    except FileNotFoundError:
        return f"{path} does not exist."
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        return f"{path} can't be read: {reason(error)}."
    try:
        with open_image(io.BytesIO(content)) as image:
            if image.format in TENSORFLOW_FORMATS:
                return _damage(path, content)
            to_upright_rgb(image)
    except UnidentifiedImageError:
        return f"{path} is not an image file; replace or remove it."
    except Exception as error:  # damaged files raise almost any exception
        return f"{path} can't be read as an image: {reason(error)}."
    return None


def _damage(path: Path, content: bytes) -> str | None:
    """What is wrong with a JPEG or PNG file according to TensorFlow, which training uses.

    Pillow fills in for missing parts of some files that TensorFlow refuses.
    """
    try:
        with tf.device("CPU"):
            decode(content)
    except tf.errors.OpError:
        why = _pillow_error(content) or "TensorFlow can't decode it; save it again as JPEG or PNG"
        return f"{path} can't be read as an image: {why}."
    return None


def _pillow_error(content: bytes) -> str | None:
    """Pillow's reason, which is more readable than TensorFlow's; None if it reads the image."""
    try:
        with open_image(io.BytesIO(content)) as image:
            image.load()
    except Exception as error:  # damaged files raise almost any exception
        return reason(error)
    return None
