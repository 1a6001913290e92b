"""Checks that a TFLite file runs fully on a GPU: by its operations, and by running it on one."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Chromium ships SwiftShader, a software Vulkan device: a GPU for machines without one.
SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")

_TIMEOUT = 300  # seconds; compiling shaders in software is slow
_DEVICE = re.compile(r"Selected adapter: ([^,]+)")

# The operations that Android's GPU delegate supports, according to `CheckGpuDelegateCompatibility`
# in TensorFlow's lite/tools/versioning/gpu_compatibility.cc, except those that networks of this
# package never use. `tf.lite.experimental.Analyzer` should report the same, but in TensorFlow 2.21
# it calls every file compatible, even one with RFFT2D or UNIQUE.
_OPERATIONS = frozenset(
    """
    ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE DIV
    ELU EXP FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN
    MINIMUM MIRROR_PAD MUL NEG PACK PAD PADV2 POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU
    RELU6 RESHAPE RESIZE_BILINEAR RSQRT SLICE SOFTMAX SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SUB SUM TANH TILE TRANSPOSE
    """.split()  # noqa: SIM905 (a list takes fifty lines)
)


@dataclass(frozen=True)
class GPUCheck:
    """Whether a TFLite file runs on GPUs.

    Attributes:
        unsupported_operations: its operations that Android's GPU delegate lacks; ideally empty.
        device: the GPU that LiteRT ran it on; None if this computer has none.
        fully_accelerated: whether every operation ran on that GPU; None without a device.
        max_difference: the largest absolute difference between a probability on the GPU and on
            the CPU; None if it did not run.
    """

    unsupported_operations: tuple[str, ...]
    device: str | None = None
    fully_accelerated: bool | None = None
    max_difference: float | None = None


def check_gpu(path: Path, images: np.ndarray) -> GPUCheck:
    """Checks whether a TFLite file runs fully on a GPU.

    Args:
        path: the file, with one float32 image as input and one vector as output.
        images: `(n, height, width, 3)` in 0..255, the images to run.
    """
    return GPUCheck(_unsupported_operations(path), **_run_on_gpu(path, images))


def describe_gpu_check(check: GPUCheck) -> str:
    """Describes a check in one phrase.

    Example:
        >>> describe_gpu_check(GPUCheck(unsupported_operations=("RFFT2D",)))
        'GPU delegate lacks RFFT2D; no GPU here to run it on'
    """
    if check.unsupported_operations:
        support = f"GPU delegate lacks {', '.join(check.unsupported_operations)}"
    else:
        support = "GPU delegate supports all operations"
    if check.device is None:
        return f"{support}; no GPU here to run it on"
    if check.max_difference is None:
        return f"{support}; does NOT run fully on {check.device}"
    fully = "fully" if check.fully_accelerated else "NOT fully"
    return (
        f"{support}; ran {fully} on {check.device}, largest difference from the CPU "
        f"{check.max_difference:.1e}"
    )


def _unsupported_operations(path: Path) -> tuple[str, ...]:
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    # Codes above 127 don't fit the older of the two fields, which then holds 127.
    used = {names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes}
    return tuple(sorted(used - _OPERATIONS))


def _run_on_gpu(path: Path, images: np.ndarray) -> dict[str, Any]:
    """The fields of `GPUCheck` that come from running the file; empty without a device."""
    environment = dict(os.environ)
    if SWIFTSHADER.is_file():
        environment.setdefault("VK_DRIVER_FILES", str(SWIFTSHADER))
    with tempfile.TemporaryDirectory() as folder:
        environment.setdefault("XDG_RUNTIME_DIR", folder)  # the Vulkan loader warns without it
        images_file, result_file = Path(folder, "images.npy"), Path(folder, "result.npz")
        np.save(images_file, images)
        program = [sys.executable, "-m", "keras_faramtn.export.run_on_gpu"]
        try:
            process = subprocess.run(
                [*program, path, images_file, result_file],
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
            )
            log = process.stderr
        except subprocess.TimeoutExpired as error:
            log = (error.stderr or b"").decode(errors="replace")
        device = _DEVICE.search(log)
        if device is None:
            return {}
        if not result_file.is_file():
            return {"device": device[1], "fully_accelerated": False}
        result = np.load(result_file)
        return {
            "device": device[1],
            "fully_accelerated": bool(result["fully_accelerated"]),
            "max_difference": float(np.abs(result["cpu"] - result["gpu"]).max()),
        }
