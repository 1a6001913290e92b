"""Reads a data set and opens every picture before a training relies on them."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_faramtn.data.faces import PARTS, FaceTable, Problem, refuse
from keras_faramtn.data.sources import read_faces

_THREADS = 4  # Pillow decodes outside of Python's lock
_SHOWN_PROBLEMS = 5

# What `decode_and_resize` reads too; MPO is the JPEG of many phones, with a second picture behind.
_FORMATS = {"JPEG", "MPO", "PNG", "GIF"}

# With this end, what Pillow reads is read by TensorFlow too.
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}

_ORIENTATION = 0x0112  # EXIF's tag; `decode_and_resize` knows nothing of it


def check_data(
    place: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> FaceTable:
    """Reads the labels of a data set, opens every picture, and prints what was left out.

    Args:
        place: the folder or file of a data set, as `read_faces` takes.
        attributes: as in `read_faces`.
        skip_bad: go on without the rows and pictures that can't be used.

    Raises:
        InputError: as `read_faces` and `check_pictures`.
    """
    table, bad_rows = read_faces(place, attributes, skip_bad=skip_bad)
    table, bad_pictures = check_pictures(table, skip_bad=skip_bad)
    left_out = [*bad_rows, *bad_pictures]
    for problem in left_out[:_SHOWN_PROBLEMS]:
        print(problem)
    if left_out:
        print(f"{place}: {len(left_out)} problems; goes on with {len(table):,} good pictures.")
    return table


def describe(table: FaceTable) -> str:
    """Pictures by part and the positive rate of each attribute, as text."""
    parts = ", ".join(f"{(table.parts == number).sum():,} {part}" for part, number in PARTS.items())
    lines = [f"{len(table):,} good pictures: {parts}.", "Share of the known labels that are yes:"]
    for column, attribute in enumerate(table.attributes):
        known = table.labels[table.labels[:, column] >= 0, column]
        rate = f"{100 * known.mean():5.1f} %" if len(known) else "no known label"
        lines.append(f"  {attribute:<20}{rate}")
    return "\n".join(lines)


def check_pictures(
    table: FaceTable, *, skip_bad: bool = False, progress: bool = True
) -> tuple[FaceTable, list[Problem]]:
    """Decodes each picture to the end, and leaves out those that can't be.

    Args:
        table: the pictures.
        skip_bad: leave bad pictures out, instead of refusing the data set.
        progress: whether to show a progress bar on standard error.

    Returns:
        The table without the bad pictures, and their problems (none without `skip_bad`).

    Raises:
        InputError: without `skip_bad`, a picture that isn't there, is truncated, is no picture, or
            of a kind that `decode_and_resize` can't read (WebP, TIFF, several frames, turned by its
            EXIF data); with it, all
            are. The message names the picture, and the label file and line.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        messages = list(
            tqdm(
                pool.map(_what_is_wrong, table.pictures),
                total=len(table),
                desc="Checking pictures",
                unit=" pictures",
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


def _what_is_wrong(picture: Path) -> str | None:
    try:
        content = picture.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
            if kind not in _FORMATS:
                return f"{picture} is a {kind} file; save it as JPEG or PNG."
            if kind == "GIF" and image.n_frames > 1:
                return f"{picture} has {image.n_frames} frames; save one as JPEG or PNG."
            if image.getexif().get(_ORIENTATION, 1) != 1:
                return f"{picture} is stored turned (EXIF); save it upright."
            image.load()
            sure = image.mode != "CMYK" and content.endswith(_ENDS.get(kind, ()))
        if kind == "PNG":
            # Pillow shows a PNG whose checksums are wrong, TensorFlow does not.
            with Image.open(io.BytesIO(content)) as image:
                image.verify()
    except FileNotFoundError:
        return f"{picture} isn't there."
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{picture} can't be read as a picture: {error}."
    return None if sure else _what_tensorflow_says(picture, content)


def _what_tensorflow_says(picture: Path, content: bytes) -> str | None:
    # Here, as it takes seconds and hardly a data set needs it.
    import tensorflow as tf

    from keras_faramtn.data.pipeline import decode_and_resize

    try:
        decode_and_resize(content, (1, 1))
    except tf.errors.InvalidArgumentError as error:
        return f"{picture} can't be read as a picture: TensorFlow says {error.message}."
    return None
