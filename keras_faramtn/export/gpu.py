"""Whether a TFLite file runs wholly on a GPU: by TFLite's analyzer, and by running it on one."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

# Chromium ships SwiftShader, a Vulkan device in software: a GPU for machines that have none.
SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")

_TIMEOUT = 300  # seconds; compiling shaders in software takes its time
_COMPATIBLE = "Your model looks compatible with GPU delegate"
_DEVICE = re.compile(r"Selected adapter: ([^,]+)")


@dataclass(frozen=True)
class GPUCheck:
    """What is known of a TFLite file on GPUs.

    Attributes:
        compatible: TFLite's analyzer finds every operation in the GPU delegate's list.
        device: the GPU that LiteRT ran it on; None if there was none to try.
        wholly: every operation ran on that GPU; None without a device.
        largest: the largest difference of a probability from LiteRT's on the CPU; None where it
            did not run.
    """

    compatible: bool
    device: str | None = None
    wholly: bool | None = None
    largest: float | None = None


def check_gpu(path: Path, pictures: np.ndarray) -> GPUCheck:
    """Looks whether a TFLite file runs wholly on a GPU.

    Args:
        path: the file, of one float32 picture in and one vector out.
        pictures: `(n, height, width, 3)` in 0..255, to run.
    """
    return GPUCheck(_is_compatible(path), **_run_on_gpu(path, pictures))


def describe(check: GPUCheck) -> str:
    """A check as a phrase for people."""
    analyzer = f"GPU: analyzer says {'all' if check.compatible else 'NOT all'} operations"
    if check.device is None:
        return f"{analyzer}, no GPU here to run it on"
    if check.largest is None:
        return f"{analyzer}, does NOT run wholly on {check.device}"
    wholly = "wholly" if check.wholly else "NOT wholly"
    return f"{analyzer}, ran {wholly} on {check.device}, {check.largest:.1e} from the CPU"


def _is_compatible(path: Path) -> bool:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tf.lite.experimental.Analyzer.analyze(model_path=str(path), gpu_compatibility=True)
    return _COMPATIBLE in printed.getvalue()


def _run_on_gpu(path: Path, pictures: np.ndarray) -> dict[str, str | bool | float]:
    environment = dict(os.environ)
    if SWIFTSHADER.is_file():
        environment.setdefault("VK_DRIVER_FILES", str(SWIFTSHADER))
    with tempfile.TemporaryDirectory() as folder:
        environment.setdefault("XDG_RUNTIME_DIR", folder)  # the Vulkan loader complains without
        pictures_file, result_file = Path(folder, "pictures.npy"), Path(folder, "result.npz")
        np.save(pictures_file, pictures)
        program = [sys.executable, "-m", "keras_faramtn.export.gpu_run"]
        try:
            process = subprocess.run(
                [*program, path, pictures_file, result_file],
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
