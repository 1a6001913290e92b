"""Describes in an error message how two settings differ."""

from collections.abc import Iterator, Mapping
from typing import Any


def describe_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Lists the values in which two nested dicts differ, or else the keys in another order.

    The order matters because the order of a network's groups is that of its weights.

    Args:
        found: the dict that was found, such as the settings of an earlier run.
        expected: the dict to compare it with.

    Returns:
        One clause per differing value, keys joined by dots, clauses separated by semicolons; an
        empty string if neither values nor order differ. A missing key counts as None.

    Example:
        >>> describe_differences({"training": {"epochs": 3}}, {"training": {"epochs": 5}})
        'training.epochs: found 3, expected 5'
        >>> describe_differences({"mouth": 1, "hair": 2}, {"hair": 2, "mouth": 1})
        'mouth, hair: the order differs'
    """
    theirs, ours = dict(_flatten(found)), dict(_flatten(expected))
    clauses = [
        f"{key}: found {theirs.get(key)}, expected {ours.get(key)}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
    if not clauses and theirs.keys() == ours.keys():
        moved = [key for key, other in zip(theirs, ours, strict=True) if key != other]
        clauses += [f"{', '.join(moved)}: the order differs"] if moved else []
    return "; ".join(clauses)


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
