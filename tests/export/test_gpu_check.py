import os
import warnings

import numpy as np
import pytest
from sensitive_network import sensitive_network
from small_network import recipe, small_network

from keras_faramtn.export import gpu_check
from keras_faramtn.export.gpu_check import (
    SWIFTSHADER,
    GPUCheck,
    check_gpu,
    describe_gpu_check,
)
from keras_faramtn.export.tflite import run_tflite, write_tflite, write_tflite_float16
from keras_faramtn.models import inference_model
from keras_faramtn.synthetic.faces import draw_faces

SIZE = (64, 32)
NO_DEVICE = (
    "NOT TESTED ON A GPU: there is no Vulkan device (Chromium has one: apt install chromium)"
)


@pytest.fixture(scope="module")
def vulkan_device():
    if not SWIFTSHADER.is_file() and "VK_DRIVER_FILES" not in os.environ:
        warnings.warn(NO_DEVICE, stacklevel=2)
        pytest.skip(NO_DEVICE)


@pytest.mark.parametrize(
    ("backbone", "write"),
    [
        ("resnet50", write_tflite),
        ("mobilenetv3_large", write_tflite),
        ("mobilenetv3_small", write_tflite_float16),
        ("efficientnetv2_b0", write_tflite_float16),
    ],
)
@pytest.mark.slow
def test_every_backbone_runs_fully_on_the_gpu(vulkan_device, tmp_path, backbone, write):
    model = inference_model(sensitive_network(SIZE, backbone=backbone))
    faces = draw_faces(2, SIZE, seed=1)
    path = tmp_path / "model.tflite"
    write(model, path)
    check = check_gpu(path, faces)
    assert check.unsupported_operations == ()
    assert check.fully_accelerated
    assert check.max_difference < 1e-4
    # The predictions depend on the image, so the comparison above is meaningful.
    probabilities = run_tflite(path, faces)
    assert probabilities.std() > 0.02
    assert np.abs(probabilities[0] - probabilities[1]).max() > 1e-3


def test_an_operation_that_gpus_do_not_support_is_found(tmp_path):
    import tensorflow as tf

    class Spectrum(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 4), tf.float32, name="images")])
        def serve(self, images):
            return {"probabilities": tf.abs(tf.signal.rfft(tf.reshape(images, (1, 64))))}

    module = Spectrum()
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.serve)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    check = check_gpu(path, np.zeros((1, 4, 4, 4), "uint8"))
    assert check.unsupported_operations == ("COMPLEX_ABS", "RFFT2D")
    assert not check.fully_accelerated
    assert "GPU delegate lacks COMPLEX_ABS, RFFT2D" in describe_gpu_check(check)


def test_without_a_device_only_the_operations_are_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "none.json"))
    path = tmp_path / "model.tflite"
    write_tflite(inference_model(small_network(recipe().model, (*SIZE, 3))), path)
    assert check_gpu(path, np.zeros((1, *SIZE, 3), "uint8")) == GPUCheck(unsupported_operations=())


def test_a_driver_that_hangs_or_crashes_raises_no_error(tmp_path, monkeypatch):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"not a model")
    assert gpu_check._run_on_gpu(bad, np.zeros((1, 4, 4, 3), "uint8")) == {}
    monkeypatch.setattr(gpu_check, "_TIMEOUT", 0.01)
    assert gpu_check._run_on_gpu(bad, np.zeros((1, 4, 4, 3), "uint8")) == {}
