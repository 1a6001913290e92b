"""The processor cores that this process may use."""

import os


def available_cores() -> int:
    """The number of cores that this process may use, at least 1.

    The operating system limits it, and so does the environment variable `OMP_NUM_THREADS`, which
    Ray, among others, sets in its workers.

    Example:
        >>> available_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):  # fewer than the computer has in some containers
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) else cores
