"""`keras.saving.load_model` finds this package's classes, whatever is imported first."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_faramtn import AttributeGroups, groups_of, objective
from keras_faramtn.layers import CGFF, WSGSA, FaceFraming
from keras_faramtn.models.heads import attach_heads
from keras_faramtn.optimizers import MUON_SUPPORTED, ConvolutionMuon

# Not in alphabetical order: a loaded model keeps the order of its groups.
GROUPS = AttributeGroups({"mouth": ["x", "z"], "eyes": ["y"]}, ["x", "y", "z"])
OPTIMIZERS = {"adamw": keras.optimizers.AdamW}
if MUON_SUPPORTED:
    OPTIMIZERS["muon"] = ConvolutionMuon

ORDERS = [
    "import keras, keras_faramtn",
    "import keras_faramtn, keras",
    "import keras_faramtn.models, keras",
    "from keras_faramtn import FARAMTN; import keras",
    "import keras; from keras_faramtn.layers import WSGSA",
    "import keras; from keras_faramtn import models",
    "from keras_faramtn import layers; import keras",
    "import tensorflow, keras_faramtn; keras = tensorflow.keras",
]


def _network():
    """All layers of `FARAMTN`, with two convolutions as its backbone."""
    images = keras.Input((32, 48, 3), name="images")
    trunk = keras.layers.Conv2D(6, 8, 8)(FaceFraming(name="framing")(images))
    last = keras.layers.Conv2D(8, 3)(trunk)
    features = CGFF(tuple(GROUPS), dim=6, heads=2)(WSGSA(tuple(GROUPS))(last, last), trunk)
    return attach_heads(images, features, GROUPS, "small")


def _predict(model, images):
    return {group: np.asarray(logits) for group, logits in model(images).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models that were trained for a step and saved, with their predictions for one image."""
    folder = tmp_path_factory.mktemp("models")
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3)).astype("float32")
    model = _network()
    model.save(folder / "uncompiled.keras")
    np.save(folder / "images.npy", images)
    np.savez(folder / "uncompiled.npz", **_predict(model, images))
    labels = {"mouth": np.array([[1, 0]] * 4), "eyes": np.array([[1]] * 4)}
    for name, optimizer in OPTIMIZERS.items():
        model.compile(optimizer(1e-3), **objective(groups_of(model)))
        model.fit(images, labels, batch_size=2, verbose=0)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **_predict(model, images))
    return folder


@pytest.mark.parametrize("order", ORDERS)
def test_saved_models_load_in_a_new_process(order, folder):
    script = f"""
{order}
import numpy as np
images = np.load("images.npy")
for name in {["uncompiled", *OPTIMIZERS]}:
    model = keras.models.load_model(f"{{name}}.keras")
    optimizer = getattr(model, "optimizer", None)
    assert (optimizer is not None) == (name != "uncompiled")
    import keras_faramtn
    groups = keras_faramtn.groups_of(model)
    assert list(groups) == {list(GROUPS)}, groups
    predicted, expected = model(images), np.load(f"{{name}}.npz")
    for group in groups:
        np.testing.assert_allclose(predicted[group], expected[group], atol=1e-6)
    assert optimizer is None or int(optimizer.iterations) > 0
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
