"""Parameter counts of the networks on ResNet50, calculated from the layers' sizes."""

from keras_faramtn.attributes import MCNN_AUX
from keras_faramtn.models import FARAMTN, MultiLabel, MultiTask


def _convolution(size, inputs, outputs):
    return size * size * inputs * outputs + outputs


def _normalised(count, channels):
    return count + 4 * channels


def _bottleneck(inputs, inner, outputs, projected):
    """A residual block of keras.applications' ResNet50: convolutions with bias, normalisation."""
    parameters = _normalised(_convolution(1, inputs, inner), inner)
    parameters += _normalised(_convolution(3, inner, inner), inner)
    parameters += _normalised(_convolution(1, inner, outputs), outputs)
    if projected:
        parameters += _normalised(_convolution(1, inputs, outputs), outputs)
    return parameters


def _stage(blocks, inputs, inner, outputs):
    first = _bottleneck(inputs, inner, outputs, projected=True)
    return first + (blocks - 1) * _bottleneck(outputs, inner, outputs, projected=False)


# He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, 50 layers.
TRUNK = (
    _normalised(_convolution(7, 3, 64), 64)
    + _stage(3, 64, 64, 256)
    + _stage(4, 256, 128, 512)
    + _stage(6, 512, 256, 1024)
)
CONV5 = _stage(3, 1024, 512, 2048)
HEADS = 2048 * 40 + 40


def test_parameters_of_faramtn():
    gate = (2048 * 128 + 128) + (128 * 2048 + 2048)
    fusion = (2048 + 1024) * 64 + 3 * 64 * 64 + 8 * 64 + 64 * 2048
    assert FARAMTN("resnet50").count_params() == TRUNK + CONV5 + 8 * gate + fusion + HEADS
    plain = FARAMTN("resnet50", attention=False, fusion=False)
    assert plain.count_params() == TRUNK + CONV5 + HEADS


def test_parameters_of_multi_label():
    # Keras's documentation gives 23,587,712 for ResNet50 without its top.
    assert TRUNK + CONV5 == 23_587_712
    assert MultiLabel("resnet50").count_params() == TRUNK + CONV5 + HEADS == 23_669_672


def test_parameters_of_multi_task():
    assert MultiTask("resnet50").count_params() == TRUNK + 8 * CONV5 + HEADS
    assert MultiTask("resnet50", MCNN_AUX).count_params() == TRUNK + 9 * CONV5 + HEADS
