"""Work in threads: on how many cores, and a bounded number of results ahead of the caller."""

import collections
import os
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MIN_THREADS = 4  # while one waits for a disk, others work


def allowed_cores() -> int:
    """The number of cores that the operating system lets this process use, at least 1.

    These are fewer than the computer has in some containers, and where `taskset` starts a program.

    Example:
        >>> allowed_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_cores() -> int:
    """The number of cores to work on: `allowed_cores`, or fewer if `OMP_NUM_THREADS` says so.

    Ray, among others, sets this environment variable in its workers.

    Example:
        >>> available_cores() >= 1
        True
    """
    cores = allowed_cores()
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) else cores


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    limit: int,
    size: Callable[[Result], int] = lambda result: 1,
) -> Generator[Result]:
    """Like `map`, in threads that work ahead of the caller.

    Unlike `ThreadPoolExecutor.map`, it takes items as they are needed, and waits for the caller
    while the finished results are large enough. The threads are stopped if the caller stops early.

    Args:
        function: called in threads. Its errors are raised.
        items: its arguments; taken one after the other.
        limit: no item is taken while the sizes of the finished results sum to this or more.
        size: the size of a result.

    Yields:
        The results, in the order of the items.

    Example:
        >>> list(map_ahead(str.upper, "abc", limit=2))
        ['A', 'B', 'C']
    """
    threads = max(_MIN_THREADS, available_cores())
    waiting = iter(items)
    started: collections.deque[Future[Result]] = collections.deque()
    lock = threading.Lock()
    running = finished = 0  # tasks that are not done, and the size of the results
    stopped = False

    def start() -> None:
        """Starts tasks; requires the lock."""
        nonlocal running, stopped
        while not stopped and running < 2 * threads and finished < limit:
            try:
                item = next(waiting)
            except StopIteration:
                stopped = True
            else:
                running += 1
                started.append(pool.submit(run, item))

    def run(item: Item) -> Result:
        nonlocal running, finished
        result = function(item)
        with lock:
            running -= 1
            finished += size(result)
            start()
        return result

    pool = ThreadPoolExecutor(threads)
    try:
        with lock:
            start()
        while started:
            result = started.popleft().result()
            with lock:
                finished -= size(result)
                start()
            yield result
    finally:  # the caller may stop early, after an error or Ctrl-C
        with lock:
            stopped = True
        pool.shutdown(wait=False, cancel_futures=True)
