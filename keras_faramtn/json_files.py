"""Reads JSON files, which may be damaged."""

import json
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError, reason


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Args:
        path: a file in UTF-8.

    Raises:
        InputError: the file is missing, can't be read, or is not JSON.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "scores.json"
        ...     _ = path.write_text('{"accuracy": 0.9}')
        ...     read_json(path)
        {'accuracy': 0.9}
    """
    try:
        return json.loads(Path(path).read_bytes())
    # Deep nesting ends in a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot read this file as JSON: {reason(error)}.") from error
