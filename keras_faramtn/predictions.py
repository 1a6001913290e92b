"""What becomes of predictions: bad pictures are refused or passed over, good ones are written."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from keras_faramtn.errors import InputError

Prediction = tuple[Path, dict[str, float]]
"""A picture, and its probabilities in 0..1 by attribute in canonical order."""


def settle(
    answers: Iterable[tuple[Path, dict[str, float] | InputError]],
    *,
    total: int,
    skip_bad: bool,
    progress: bool,
) -> Iterator[Prediction]:
    """Passes good answers on as they come, and deals with the bad ones.

    Args:
        answers: each picture with its probabilities, or with what is wrong with it.
        total: how many there are.
        skip_bad: say on standard error what is wrong with a picture, and go on.
        progress: whether to show a progress bar on standard error, where there are several.

    Raises:
        InputError: a bad picture; with `skip_bad`, if all are.
    """
    bad = 0
    with tqdm(
        total=total, desc="Predicting", unit=" pictures", disable=not progress or total == 1
    ) as bar:
        for picture, answer in answers:
            bar.update()
            if not isinstance(answer, InputError):
                yield picture, answer
            elif skip_bad:
                bad += 1
                tqdm.write(str(answer), file=sys.stderr)
            elif total == 1:
                raise answer
            else:
                raise InputError(f"{answer} Use --skip-bad to go on without such pictures.")
    if bad == total:
        raise InputError(f"none of the {total:,} pictures can be used.")
    if bad:
        print(f"{bad:,} of {total:,} pictures were left out.", file=sys.stderr)


def refuse_output(path: Path) -> None:
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

    A .csv file has a line of names, `picture` and the attributes, and then a row a picture. A
    .jsonl file has an object a line: `{"picture": path, "probabilities": {attribute: number}}`.
    Until all are there the file is called `{name}.part`; what was reached before an error stays
    in it.

    Returns:
        How many were written.

    Raises:
        InputError: as `refuse_output`.
    """
    refuse_output(path)
    part = path.with_name(f"{path.name}.part")
    count = 0
    # The bytes of a picture's name need not be UTF-8.
    with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write = _WRITERS[path.suffix](file)
        for count, (picture, probabilities) in enumerate(predictions, start=1):  # noqa: B007
            write(str(picture), probabilities)
            file.flush()
    part.rename(path)
    return count


def _csv(file: TextIO) -> Any:
    rows = csv.writer(file, lineterminator="\n")

    def write(picture: str, probabilities: dict[str, float]) -> None:
        if not file.tell():
            rows.writerow(["picture", *probabilities])
        rows.writerow([picture, *(f"{p:.6f}" for p in probabilities.values())])

    return write


def _json_lines(file: TextIO) -> Any:
    def write(picture: str, probabilities: dict[str, float]) -> None:
        rounded = {name: round(p, 6) for name, p in probabilities.items()}
        row = {"picture": picture, "probabilities": rounded}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return write


_WRITERS = {".csv": _csv, ".jsonl": _json_lines}
