"""The files of the wheel and the sdist."""

from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize("builder", [WheelBuilder, SdistBuilder])
def test_the_face_detector_is_distributed_with_its_notice(builder):
    project = builder(str(REPOSITORY))
    files = {each.distribution_path for each in project.recurse_included_files()}
    folder = "keras_faramtn/faces/blazeface"
    assert {
        f"{folder}/NOTICE",
        f"{folder}/full_range.tflite",
        "keras_faramtn/py.typed",
    } <= files
    assert f"{folder}/NOTICE" in project.metadata.core.license_files
