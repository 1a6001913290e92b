"""Runs the tasks of a scoring run with Ray Data, on a cluster or on this computer."""

import contextlib
import importlib.util
import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from keras_faramtn.errors import InputError, ServerError, reason

Task = TypeVar("Task")

_PACKAGES = ("ray", "pyarrow", "pandas")  # of the extra `ray`
_CONNECT_SECONDS = 5
_ATTEMPTS = 5  # of a task whose worker dies: its data may be the reason
_OBJECT_STORE_BYTES = 512 * 1024**2  # holds the finished Parquet files until they are written


def require_ray() -> None:
    """Checks that the optional packages are installed.

    Raises:
        InputError: one is missing.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"scoring needs the package {package}: pip install 'keras-faramtn[ray]'."
            )


@contextlib.contextmanager
def ray_cluster(address: str | None) -> Iterator[None]:
    """Connects to a Ray cluster during the block, or starts one on this computer.

    A connection that the caller has opened with `ray.init` is used as it is.

    Args:
        address: `HOST:PORT` of the head node; `auto` for a cluster that runs on this computer;
            None for the cores of this computer, with Ray listening on the loopback address only.

    Raises:
        ServerError: the cluster can't be reached, has other versions of Ray or Python, or has no
            processor.
        InputError: the address has another form.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        # Read when Ray is imported; without clusters, Ray listens on the loopback address.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        options: dict[str, Any] = {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    else:
        _check_address(address)
        options = {"address": address}
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    # Ray ends the process if it can't reach the head node.
    except (Exception, SystemExit) as error:
        raise ServerError(
            f"{address or 'this computer'}: Ray can't be used: {reason(error)}. A cluster is "
            "started with `ray start --head`."
        ) from error
    try:
        if not ray.cluster_resources().get("CPU"):
            raise ServerError(
                f"{address}: the cluster has no processor; start a worker with "
                f"`ray start --address={address}` first."
            )
        yield
    finally:
        ray.shutdown()


def run_on_ray(run: Callable[[Task], bytes], tasks: Iterable[Task]) -> Iterator[tuple[Task, bytes]]:
    """Runs a function for each task, on one core each, in any order.

    A task whose worker or computer dies runs again, up to five times; then it is skipped, and an
    error is raised after the other tasks. Ray Data's own checkpoints could replace the files of
    this package only for one row of output per input, and keep all keys in memory.

    Args:
        run: a function that can be pickled; it may run more than once for a task.
        tasks: values that can be pickled. An error names a task as `str` writes it.

    Yields:
        Each task with its result, as they finish.

    Raises:
        InputError: raised by `run`.
        ServerError: Ray fails, or the worker of a task dies each time.
    """
    import ray
    import ray.data

    def run_row(row: dict[str, bytes]) -> dict[str, bytes]:
        task = pickle.loads(row["task"])
        # Ray would keep only the text of an exception.
        try:
            _check_attempts(task)
            return {**row, "result": run(task), "error": b""}
        except (InputError, ServerError) as error:
            return {**row, "result": b"", "error": pickle.dumps(error)}

    rows = [{"task": pickle.dumps(task)} for task in tasks]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(run_row, num_cpus=1)
    dataset.context.enable_progress_bars = False
    dead = []
    try:
        with _without_messages("ray.data"):  # its errors are raised too
            for row in dataset.iter_rows():
                failure = pickle.loads(row["error"]) if row["error"] else None
                if isinstance(failure, ServerError):
                    dead.append(failure)
                elif failure:
                    raise failure
                else:
                    yield pickle.loads(row["task"]), row["result"]
    except ray.exceptions.RayError as error:
        raise ServerError(f"the Ray cluster has failed: {_last_line(error)}") from error
    if dead:
        others = f" The same happened to {len(dead) - 1:,} others." if len(dead) > 1 else ""
        raise ServerError(f"{dead[0]}{others}")


def _check_attempts(task: object) -> None:
    """Gives up a task whose worker has died each time; Ray itself would repeat it without end.

    With its limit, `max_retries`, Ray doesn't tell which task failed, and doesn't count workers
    that are killed for lack of memory.
    """
    import ray

    worker = ray.get_runtime_context().worker.core_worker  # Ray has no public name for the number
    if worker.get_current_task_attempt_number() >= _ATTEMPTS:
        raise ServerError(
            f"{task}: its worker died {_ATTEMPTS} times for lack of memory or because of an image; "
            "repeat the command where there is more memory, or score the input without this image "
            "into another folder."
        )


@contextlib.contextmanager
def _without_messages(name: str) -> Iterator[None]:
    """Silences a logger during the block."""
    silenced = logging.getLogger(name)
    level = silenced.level
    silenced.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        silenced.setLevel(level)


def _last_line(error: Exception) -> str:
    """The last line of the error in the task, whose traceback is in the text of Ray's errors."""
    text, _, _ = str(error).partition("\n\nThe above exception was the direct cause")
    return reason(Exception(text.strip().rpartition("\n")[2]))


def _check_address(address: str) -> None:
    """Fails early and in words where Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InputError(
            f"{address}: the address of a Ray cluster is HOST:PORT, as `ray start --head` prints "
            "it, or auto."
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ServerError(
            f"{address}: no Ray cluster can be reached there: {reason(error)}; start one with "
            "`ray start --head`, and specify the address that it prints."
        ) from error
