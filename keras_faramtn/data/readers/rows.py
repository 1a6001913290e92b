"""The rows of a text file, each with its line number."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_faramtn.errors import InputError, reason


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Reads the rows of a table; blank lines are skipped.

    Args:
        path: a text file in UTF-8. The fields of a `.csv` file are separated by commas, those of
            other files by white space.

    Returns:
        For each row the number of the line where it begins, from 1, and its fields.

    Raises:
        InputError: the file can't be read, is empty, is not a text file in UTF-8, or has an
            unclosed quotation mark.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: this is not a text file in UTF-8: {reason(error)}; save it in UTF-8."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: it can't be read: {reason(error)}.") from error
    if "\0" in text:  # UTF-16 without a byte order mark, or a binary file
        raise InputError(
            f"{path}: this is not a text file in UTF-8: it contains null characters; save it in "
            "UTF-8."
        )
    # Not splitlines, which also splits at characters that editors don't count as line ends.
    lines = io.StringIO(text)
    numbered = _split_commas(path, lines) if path.suffix.lower() == ".csv" else _split_blanks(lines)
    rows = [(line, row) for line, row in numbered if any(row)]
    if not rows:
        raise InputError(f"{path}: the file is empty; replace it with a complete one.")
    return rows


def _split_blanks(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split()) for number, line in enumerate(lines, start=1))


def _split_commas(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    # Strict, because otherwise an unclosed quotation mark would swallow all rows below it.
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    begin = 1
    try:
        for row in reader:
            yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, line {begin}: this is not a row of comma-separated values: {error}; correct "
            "its quotation marks."
        ) from error
