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
        empty string if neither values nor order differ. A missing key counts as None. A dict is
        shown as a whole if the other value is not a dict.

    Example:
        >>> describe_differences({"training": {"epochs": 3}}, {"training": {"epochs": 5}})
        'training.epochs: found 3, expected 5'
        >>> describe_differences({"mouth": 1, "hair": 2}, {"hair": 2, "mouth": 1})
        'mouth, hair: the order differs'
    """
    clauses = list(_differing_values(found, expected))
    if not clauses:
        # Without differing values, both have the same keys.
        pairs = zip(_keys(found), _keys(expected), strict=True)
        moved = [key for key, other in pairs if key != other]
        clauses += [f"{', '.join(moved)}: the order differs"] if moved else []
    return "; ".join(clauses)


def _differing_values(
    found: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for key in {**found, **expected}:
        theirs, ours = found.get(key), expected.get(key)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            yield from _differing_values(theirs, ours, f"{prefix}{key}.")
        elif theirs != ours:
            yield f"{prefix}{key}: found {theirs}, expected {ours}"


def _keys(nested: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of all values except None, in order, keys joined by dots."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}"
