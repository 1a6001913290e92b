"""Reads a data set and opens every image before a training relies on them."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.data.table import SPLITS, FaceTable, Problem, refuse

_THREADS = 4  # Pillow decodes outside of Python's lock
_SHOWN_PROBLEMS = 5

# What `decode_and_resize` reads too; MPO is the JPEG of many phones, with a second image behind.
_FORMATS = {"JPEG", "MPO", "PNG", "GIF"}

# With this end, what Pillow reads is read by TensorFlow too.
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}

_ORIENTATION = 0x0112  # EXIF's tag; `decode_and_resize` knows nothing of it


def check_data(
    place: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> FaceTable:
    """Reads the labels of a data set, opens every image, and prints what was left out.

    Args:
        place: the folder or file of a data set, as `read_dataset` takes.
        attributes: as in `read_dataset`.
        skip_bad: go on without the rows and images that can't be used.

    Raises:
        InputError: as `read_dataset` and `check_images`.
    """
    table, bad_rows = read_dataset(place, attributes, skip_bad=skip_bad)
    table, bad_images = check_images(table, skip_bad=skip_bad)
    left_out = [*bad_rows, *bad_images]
    for problem in left_out[:_SHOWN_PROBLEMS]:
        print(problem)
    if left_out:
        print(f"{place}: {len(left_out)} problems; goes on with {len(table):,} good images.")
    return table


def describe(table: FaceTable) -> str:
    """Images by split and the positive rate of each attribute, as text."""
    splits = ", ".join(
        f"{(table.splits == number).sum():,} {split}" for split, number in SPLITS.items()
    )
    lines = [f"{len(table):,} good images: {splits}.", "Share of the known labels that are yes:"]
    for column, attribute in enumerate(table.attributes):
        known = table.labels[table.labels[:, column] >= 0, column]
        rate = f"{100 * known.mean():5.1f} %" if len(known) else "no known label"
        lines.append(f"  {attribute:<20}{rate}")
    return "\n".join(lines)


def check_images(
    table: FaceTable, *, skip_bad: bool = False, progress: bool = True
) -> tuple[FaceTable, list[Problem]]:
    """Decodes each image to the end, and leaves out those that can't be.

    Args:
        table: the images.
        skip_bad: leave bad images out, instead of refusing the data set.
        progress: whether to show a progress bar on standard error.

    Returns:
        The table without the bad images, and their problems (none without `skip_bad`).

    Raises:
        InputError: without `skip_bad`, an image that isn't there, is truncated, is no image, or
            of a kind that `decode_and_resize` can't read (WebP, TIFF, several frames, turned by its
            EXIF data); with it, all
            are. The message names the image, and the label file and line.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        messages = list(
            tqdm(
                pool.map(_decode_error, table.paths),
                total=len(table),
                desc="Checking images",
                unit=" images",
                disable=not progress,
            )
        )
    bad = np.array([message is not None for message in messages])
    problems = [
        Problem(table.source, int(line), message, table.unit)
        for line, message in zip(table.lines, messages, strict=True)
        if message is not None
    ]
    if not skip_bad or bad.all():
        refuse(problems)
    return table.take(~bad), problems


def _decode_error(path: Path) -> str | None:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
            if kind not in _FORMATS:
                return f"{path} is a {kind} file; save it as JPEG or PNG."
            if kind == "GIF" and image.n_frames > 1:
                return f"{path} has {image.n_frames} frames; save one as JPEG or PNG."
            if image.getexif().get(_ORIENTATION, 1) != 1:
                return f"{path} is stored turned (EXIF); save it upright."
            image.load()
            sure = image.mode != "CMYK" and content.endswith(_ENDS.get(kind, ()))
        if kind == "PNG":
            # Pillow shows a PNG whose checksums are wrong, TensorFlow does not.
            with Image.open(io.BytesIO(content)) as image:
                image.verify()
    except FileNotFoundError:
        return f"{path} isn't there."
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{path} can't be read as an image: {error}."
    return None if sure else _tensorflow_error(path, content)


def _tensorflow_error(path: Path, content: bytes) -> str | None:
    # Here, as it takes seconds and hardly a data set needs it.
    import tensorflow as tf

    from keras_faramtn.data.decoding import decode_and_resize

    try:
        decode_and_resize(content, (1, 1))
    except tf.errors.InvalidArgumentError as error:
        return f"{path} can't be read as an image: TensorFlow says {error.message}."
    return None
