"""Checks a list of names that is passed to a layer."""

from collections.abc import Sequence


def distinct_names(argument: str, names: Sequence[str]) -> tuple[str, ...]:
    """Returns `names` as a tuple.

    Args:
        argument: the argument's name, for the messages.
        names: one or more strings, all different.

    Raises:
        ValueError: `names` is empty, is a single string, or contains a duplicate or something
            other than a string.

    Example:
        >>> distinct_names("groups", ["eyes", "mouth"])
        ('eyes', 'mouth')
    """
    if isinstance(names, str):
        raise ValueError(f"{argument} must be a list of names; got the string {names!r}.")
    names = tuple(names)
    if not names:
        raise ValueError(f"{argument} must contain at least one name; got none.")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{argument} must contain names only; got {name!r}.")
        if names.count(name) > 1:
            raise ValueError(f"{argument} contains {name!r} more than once; list each name once.")
    return names
