"""Whether a TFLite file runs wholly on a GPU: by the delegate's list, and by running it on one."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Chromium ships SwiftShader, a Vulkan device in software: a GPU for machines that have none.
SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")

_TIMEOUT = 300  # seconds; compiling shaders in software takes its time
_DEVICE = re.compile(r"Selected adapter: ([^,]+)")


# The operations of Android's GPU delegate, by `CheckGpuDelegateCompatibility` of TensorFlow's
# lite/tools/versioning/gpu_compatibility.cc; without those of which networks here have no use.
# `tf.lite.experimental.Analyzer` should say the same, but that of TensorFlow 2.21 calls every file
# compatible, one with RFFT2D or UNIQUE too.
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
    """What is known of a TFLite file on GPUs.

    Attributes:
        missing: its operations that Android's GPU delegate has not; none is good.
        device: the GPU that LiteRT ran it on; None if there was none to try.
        wholly: every operation ran on that GPU; None without a device.
        largest: the largest difference of a probability from LiteRT's on the CPU; None where it
            did not run.
    """

    missing: tuple[str, ...]
    device: str | None = None
    wholly: bool | None = None
    largest: float | None = None


def check_gpu(path: Path, images: np.ndarray) -> GPUCheck:
    """Looks whether a TFLite file runs wholly on a GPU.

    Args:
        path: the file, of one float32 image in and one vector out.
        images: `(n, height, width, 3)` in 0..255, to run.
    """
    return GPUCheck(_missing(path), **_run_on_gpu(path, images))


def describe(check: GPUCheck) -> str:
    """A check as a phrase for people."""
    lacks = f"lacks {', '.join(check.missing)}" if check.missing else "has all operations"
    listed = f"GPU delegate {lacks}"
    if check.device is None:
        return f"{listed}; no GPU here to run it on"
    if check.largest is None:
        return f"{listed}; does NOT run wholly on {check.device}"
    wholly = "wholly" if check.wholly else "NOT wholly"
    return f"{listed}; ran {wholly} on {check.device}, {check.largest:.1e} from the CPU"


def _missing(path: Path) -> tuple[str, ...]:
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    # Codes above 127 don't fit the older of the two fields, which then holds 127.
    used = {names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes}
    return tuple(sorted(used - _OPERATIONS))


def _run_on_gpu(path: Path, images: np.ndarray) -> dict[str, str | bool | float]:
    environment = dict(os.environ)
    if SWIFTSHADER.is_file():
        environment.setdefault("VK_DRIVER_FILES", str(SWIFTSHADER))
    with tempfile.TemporaryDirectory() as folder:
        environment.setdefault("XDG_RUNTIME_DIR", folder)  # the Vulkan loader complains without
        images_file, result_file = Path(folder, "images.npy"), Path(folder, "result.npz")
        np.save(images_file, images)
        program = [sys.executable, "-m", "keras_faramtn.export.gpu_run"]
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
            return {"device": device[1], "wholly": False}
        result = np.load(result_file)
        return {
            "device": device[1],
            "wholly": bool(result["wholly"]),
            "largest": float(np.abs(result["cpu"] - result["gpu"]).max()),
        }
