"""The rows of a text file, each with the line that it begins in."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_faramtn.errors import InputError


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The line each row begins in, from 1, and its fields; blank lines are left out.

    The fields of a `.csv` are separated by commas, those of other files by blanks.

    Raises:
        InputError: the file is empty, no text, or has a quote that is never closed.
    """
    try:
        # Not splitlines, which also splits at characters that no editor counts as a line's end.
        lines = io.StringIO(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is no text file: {error}.") from error
    split = _split_commas(path, lines) if path.suffix.lower() == ".csv" else _split_blanks(lines)
    rows = [(line, row) for line, row in split if any(row)]
    if not rows:
        raise InputError(f"{path}: the file is empty; get it from the data set anew.")
    return rows


def _split_blanks(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split()) for number, line in enumerate(lines, start=1))


def _split_commas(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    # Strict, lest a quote that is never closed swallows all rows below it unnoticed.
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    begin = 1
    try:
        for row in reader:
            yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, line {begin}: this is no row of comma-separated values: {error}; correct "
            "its quotation marks."
        ) from error
