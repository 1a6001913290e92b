import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.export.gpu_check import SWIFTSHADER
from keras_faramtn.export.tflite import run_tflite, write_tflite
from keras_faramtn.models import FARAMTN, inference_model

STEPS = Path(__file__).parents[2] / "docs" / "android_steps.py"
GROUPS = AttributeGroups({"a": ["hat", "glasses"], "b": ["happy"]}, ["glasses", "happy", "hat"])
SIZE = (48, 64)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("android")
    model = FARAMTN("mobilenetv3_small", GROUPS, (*SIZE, 3))
    for head, biases in {"a": [0.8, 1.5], "b": [-1]}.items():
        model.get_layer(head).bias.assign(biases)
    write_tflite(inference_model(model), folder / "model.tflite")
    face = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype="uint8")
    Image.fromarray(face).save(folder / "face.png")
    return folder, run_tflite(folder / "model.tflite", face[None])[0]


@pytest.mark.parametrize("accelerator", ["CPU", "GPU"])
def test_the_steps_of_the_guide_work(files, tmp_path, accelerator):
    folder, expected = files
    driver = tmp_path / "none.json"
    if accelerator == "GPU":
        driver = os.environ.get("VK_DRIVER_FILES", SWIFTSHADER)
        if not Path(driver).is_file():
            message = "NOT TESTED ON A GPU: there is no Vulkan device"
            warnings.warn(message, stacklevel=1)
            pytest.skip(message)
    printed = subprocess.run(
        [sys.executable, STEPS, folder / "model.tflite", folder / "face.png"],
        env=os.environ | {"VK_DRIVER_FILES": str(driver), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    glasses, happy, hat = expected
    assert glasses > hat > 0.5 > happy
    lines = [line for line in printed.splitlines() if not line.startswith("INFO")]
    assert lines == [f"on the {accelerator}", f"glasses {glasses:.4f}", f"hat {hat:.4f}"]


def test_the_guide_has_the_same_steps_in_the_same_order():
    def steps(text, comment):
        lines = map(str.strip, text.splitlines())
        return [line.removeprefix(comment) for line in lines if line.startswith(comment)]

    in_kotlin = steps(STEPS.with_name("android.md").read_text(), "// ")
    in_python = steps(STEPS.read_text(), "# ")
    assert in_kotlin == in_python
    assert len(in_kotlin) == 6
