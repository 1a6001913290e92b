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

    A task whose computer fails runs again on another. Ray Data's own checkpoints could replace the
    files of this package only for one row of output per input, and keep all keys in memory.

    Args:
        run: a function that can be pickled; it may run more than once for a task.
        tasks: values that can be pickled.

    Yields:
        Each task with its result, as they finish.

    Raises:
        InputError: raised by `run`.
        ServerError: Ray fails.
    """
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised too
    ray.data.DataContext.get_current().enable_progress_bars = False

    def run_row(row: dict[str, bytes]) -> dict[str, bytes]:
        # Ray would keep only the text of an exception.
        try:
            return {**row, "result": run(pickle.loads(row["task"])), "error": b""}
        except InputError as error:
            return {**row, "result": b"", "error": str(error).encode()}

    rows = [{"task": pickle.dumps(task)} for task in tasks]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(run_row, num_cpus=1)
    try:
        for row in dataset.iter_rows():
            if row["error"]:
                raise InputError(row["error"].decode())
            yield pickle.loads(row["task"]), row["result"]
    except ray.exceptions.RayError as error:
        raise ServerError(f"the Ray cluster has failed: {_last_line(error)}") from error


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
