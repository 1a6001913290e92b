"""The processor cores that this process may use."""

import os


def available_cores() -> int:
    """The number of cores that the operating system lets this process use, at least 1.

    Example:
        >>> available_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):  # fewer than the computer has in some containers
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
