import os
import warnings

import numpy as np
import pytest
from sensitive_network import sensitive_network

from keras_faramtn.export import gpu
from keras_faramtn.export.gpu import SWIFTSHADER, GPUCheck, check_gpu, describe
from keras_faramtn.export.tflite import run_tflite, write_tflite, write_tflite_float16
from keras_faramtn.models import FARAMTN, inference_model
from keras_faramtn.synthetic.dataset import draw_faces

SIZE = (64, 32)
NO_DEVICE = "NOT TESTED ON A GPU: there is no Vulkan device here (apt install chromium brings one)"


@pytest.fixture(scope="module")
def a_device():
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
def test_every_preset_runs_wholly_on_the_gpu(a_device, tmp_path, backbone, write):
    model = inference_model(sensitive_network(SIZE, backbone=backbone))
    faces = draw_faces(2, SIZE, seed=1)
    path = tmp_path / "model.tflite"
    write(model, path)
    check = check_gpu(path, faces)
    assert check.missing == ()
    assert check.wholly
    assert check.largest < 1e-4
    # The process of its own ran this file, and not some constant.
    probabilities = run_tflite(path, faces)
    assert probabilities.std() > 0.02
    assert np.abs(probabilities[0] - probabilities[1]).max() > 1e-3


def test_an_operation_that_gpus_lack_is_found(tmp_path):
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
    assert check.missing == ("COMPLEX_ABS", "RFFT2D")
    assert not check.wholly
    assert "GPU delegate lacks COMPLEX_ABS, RFFT2D" in describe(check)


def test_without_a_device_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "none.json"))
    path = tmp_path / "model.tflite"
    write_tflite(inference_model(FARAMTN("mobilenetv3_small", input_shape=(*SIZE, 3))), path)
    assert check_gpu(path, np.zeros((1, *SIZE, 3), "uint8")) == GPUCheck(missing=())


def test_a_driver_that_hangs_or_crashes_is_survived(tmp_path, monkeypatch):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"no model")
    assert gpu._run_on_gpu(bad, np.zeros((1, 4, 4, 3), "uint8")) == {}
    monkeypatch.setattr(gpu, "_TIMEOUT", 0.01)
    assert gpu._run_on_gpu(bad, np.zeros((1, 4, 4, 3), "uint8")) == {}
