"""The layers on JAX and PyTorch, against the numbers that TensorFlow gives."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import sys
import numpy as np
import keras
from keras_faramtn.layers import CGFF, WSGSA, AttributeHead, AttributeProbabilities

def filled(layer):
    rng = np.random.default_rng(7)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer

rng = np.random.default_rng(3)
shared, transformed = keras.Input((5, 4, 32)), keras.Input((3, 2, 24))
features = WSGSA(("eyes", "mouth"), reduction=8)(shared, transformed)
features = CGFF(("eyes", "mouth"), dim=6, heads=2)(features, shared)
logits = {
    "eyes": AttributeHead(["Eyeglasses"], [1], name="eyes")(features["eyes"]),
    "mouth": AttributeHead(["Smiling", "Big_Lips"], [2, 0], name="mouth")(features["mouth"]),
}
probabilities = AttributeProbabilities({"eyes": [1], "mouth": [2, 0]})(logits)
model = filled(keras.Model([shared, transformed], probabilities))
images = [rng.normal(size=(7, *x.shape[1:])).astype("float32") for x in model.inputs]
before = model.predict(images, verbose=0)
model.compile("sgd", "mse")
model.train_on_batch(images, rng.random((7, 3)).astype("float32"))
np.savez(sys.argv[1], before=before, after=model.predict(images, verbose=0))
"""


def _run(backend, path):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", SCRIPT, str(path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return np.load(path)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_outputs_and_same_training_step(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: the layers were not run on it")
    expected = _run("tensorflow", tmp_path / "tensorflow.npz")
    actual = _run(backend, tmp_path / "other.npz")
    np.testing.assert_allclose(actual["before"], expected["before"], atol=1e-5)
    np.testing.assert_allclose(actual["after"], expected["after"], atol=1e-5)
    assert np.abs(expected["after"] - expected["before"]).max() > 1e-4
