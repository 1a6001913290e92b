"""The machine that a result was measured on."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_faramtn.counted import counted
from keras_faramtn.threads import allowed_cores


def machine() -> dict[str, Any]:
    """This machine, for a results file: the `processor`, and the `cores` and `gpus` allowed to us.

    Returns:
        The processor's name, the number of cores, and a list of the names of the GPUs.
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
    """A machine in words.

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
