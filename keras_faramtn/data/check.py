"""Opens every picture of a data set before a training relies on them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_faramtn.data.faces import FaceTable, Problem, refuse

_THREADS = 4  # Pillow decodes outside of Python's lock


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
        InputError: without `skip_bad`, a picture that isn't there, is truncated or is no picture;
            with it, all are. The message names the picture, and the label file and line.
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
        Problem(table.source, int(line), message)
        for line, message in zip(table.lines, messages, strict=True)
        if message is not None
    ]
    if not skip_bad or bad.all():
        refuse(problems)
    return table.take(~bad), problems


def _what_is_wrong(picture: Path) -> str | None:
    try:
        with Image.open(picture) as image:
            image.load()
    except FileNotFoundError:
        return f"{picture} isn't there."
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{picture} can't be read as a picture: {error}."
    return None
