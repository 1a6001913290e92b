"""The machine that a result was measured on."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_faramtn.counted import counted
from keras_faramtn.threads import allowed_cores


def machine() -> dict[str, Any]:
    """Describes this machine, for a results file.

    Returns:
        `processor`, its name; `cores`, how many of them this process may use; and `gpus`, a list of
        their names.

    Example:
        >>> sorted(machine())
        ['cores', 'gpus', 'processor']
    """
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "processor": _processor(),
        "cores": allowed_cores(),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in gpus
        ],
    }


def describe_machine(machine: Mapping[str, Any]) -> str:
    """States in words what `machine` returned.

    Example:
        >>> describe_machine({"processor": "A Processor", "cores": 1, "gpus": ["A Card"]})
        '1 core of A Processor, A Card'
    """
    cores = f"{counted(machine['cores'], 'core')} of {machine['processor']}"
    return ", ".join([cores, *machine["gpus"]])


def _processor() -> str:
    # On Linux, `platform.processor` returns at most the architecture.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
