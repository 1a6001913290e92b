"""What becomes of predictions: bad images are refused or passed over, good ones are written."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from keras_faramtn.errors import InputError

Prediction = tuple[Path, dict[str, float]]
"""An image, and its probabilities in 0..1 by attribute in canonical order."""


def skip_or_raise(
    answers: Iterable[tuple[Path, dict[str, float] | InputError]],
    *,
    total: int,
    skip_bad: bool,
    progress: bool,
) -> Iterator[Prediction]:
    """Passes good answers on as they come, and deals with the bad ones.

    Args:
        answers: each image with its probabilities, or with what is wrong with it.
        total: how many there are.
        skip_bad: say on standard error what is wrong with an image, and go on.
        progress: whether to show a progress bar on standard error, where there are several.

    Raises:
        InputError: a bad image; with `skip_bad`, if all are.
    """
    bad = 0
    with tqdm(
        total=total, desc="Predicting", unit=" images", disable=not progress or total == 1
    ) as bar:
        for image, answer in answers:
            bar.update()
            if not isinstance(answer, InputError):
                yield image, answer
            elif skip_bad:
                bad += 1
                tqdm.write(str(answer), file=sys.stderr)
            elif total == 1:
                raise answer
            else:
                raise InputError(f"{answer} Use --skip-bad to go on without such images.")
    if bad == total:
        raise InputError(f"none of the {total:,} images can be used.")
    if bad:
        print(f"{bad:,} of {total:,} images were left out.", file=sys.stderr)


def check_output_path(path: Path) -> None:
    """Refuses a file that `write_predictions` couldn't write, before any work is done.

    Raises:
        InputError: the file exists, is neither .csv nor .jsonl, or its folder doesn't exist.
    """
    if path.suffix not in _WRITERS:
        raise InputError(f"{path}: predictions are written to a {' or '.join(_WRITERS)} file.")
    if path.exists():
        raise InputError(f"{path}: it exists already; choose another name, or remove it.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first.")


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """Writes predictions as they come.

    A .csv file has a line of names, `image` and the attributes, and then a row an image. A
    .jsonl file has an object a line: `{"image": path, "probabilities": {attribute: number}}`.
    Until all are there the file is called `{name}.part`; what was reached before an error stays
    in it.

    Returns:
        How many were written.

    Raises:
        InputError: as `check_output_path`.
    """
    check_output_path(path)
    part = path.with_name(f"{path.name}.part")
    count = 0
    # The bytes of an image's name need not be UTF-8.
    with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write = _WRITERS[path.suffix](file)
        for count, (image, probabilities) in enumerate(predictions, start=1):  # noqa: B007
            write(str(image), probabilities)
            file.flush()
    part.rename(path)
    return count


def _csv(file: TextIO) -> Any:
    rows = csv.writer(file, lineterminator="\n")

    def write(image: str, probabilities: dict[str, float]) -> None:
        if not file.tell():
            rows.writerow(["image", *probabilities])
        rows.writerow([image, *(f"{p:.6f}" for p in probabilities.values())])

    return write


def _json_lines(file: TextIO) -> Any:
    def write(image: str, probabilities: dict[str, float]) -> None:
        rounded = {name: round(p, 6) for name, p in probabilities.items()}
        row = {"image": image, "probabilities": rounded}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return write


_WRITERS = {".csv": _csv, ".jsonl": _json_lines}
