"""Describes in an error message how two settings differ."""

from collections.abc import Iterator, Mapping
from typing import Any


def describe_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Lists the values in which two nested dicts differ.

    Args:
        found: the dict that was found, such as the settings of an earlier run.
        expected: the dict to compare it with.

    Returns:
        One clause per differing value, keys joined by dots, clauses separated by semicolons; an
        empty string if the dicts are equal. A missing key counts as None.

    Example:
        >>> describe_differences({"training": {"epochs": 3}}, {"training": {"epochs": 5}})
        'training.epochs: found 3, expected 5'
    """
    theirs, ours = dict(_flatten(found)), dict(_flatten(expected))
    return "; ".join(
        f"{key}: found {theirs.get(key)}, expected {ours.get(key)}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    )


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
