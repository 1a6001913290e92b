import pytest
from harness import GROUPS, IMAGE_SIZE, check_model

from keras_faramtn.attributes import FACE_REGIONS
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models import FARAMTN, groups_of

SMALL = "mobilenetv3_small"
SHAPE = (*IMAGE_SIZE, 3)


@pytest.mark.slow
def test_passes_the_harness(tmp_path):
    check_model(lambda: FARAMTN(SMALL, GROUPS, SHAPE), folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("attention", "fusion"), [(True, False), (False, True)])
def test_without_one_of_its_modules_it_passes_the_harness(attention, fusion, tmp_path):
    build = lambda: FARAMTN(SMALL, GROUPS, SHAPE, attention=attention, fusion=fusion)  # noqa: E731
    check_model(build, folder=tmp_path, backends=())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenetv3_large", "efficientnetv2_b0"])
def test_other_backbones_pass_the_harness(backbone, tmp_path):
    check_model(lambda: FARAMTN(backbone, GROUPS, SHAPE), folder=tmp_path, backends=())


@pytest.mark.slow
def test_resnet50_passes_the_harness(tmp_path):
    # Its depth and its inputs of up to 150 amplify the rounding errors of random weights.
    tolerances = {"float32": 1e-6, "mixed_float16": 0.05, "mixed_bfloat16": 0.6}
    check_model(
        lambda: FARAMTN("resnet50", GROUPS, SHAPE),
        folder=tmp_path,
        tolerances=tolerances,
        backends=(),
    )


def test_the_default_groups_are_the_face_regions():
    groups = groups_of(FARAMTN(SMALL, input_shape=SHAPE))
    assert groups == FACE_REGIONS
    assert list(groups) == list(FACE_REGIONS)


def test_the_switches_omit_wsgsa_and_cgff():
    def layers(**switches):
        model = FARAMTN(SMALL, GROUPS, SHAPE, **switches)
        return {type(layer) for layer in model.layers} & {WSGSA, CGFF}

    assert layers() == {WSGSA, CGFF}
    assert layers(attention=False) == {CGFF}
    assert layers(fusion=False) == {WSGSA}
    assert layers(attention=False, fusion=False) == set()
