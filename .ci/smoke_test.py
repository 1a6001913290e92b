"""Trains, saves, loads and runs a small network on synthetic faces: a check of an installation."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn import (
    FARAMTN,
    DynamicWeighting,
    groups_of,
    inference_model,
    load_model,
    make_dataset,
    objective,
    read_dataset,
    synthesize,
)

print(f"keras {keras.__version__}, tensorflow {tf.__version__}, numpy {np.__version__}")
with tempfile.TemporaryDirectory() as folder:
    faces, file = Path(folder) / "faces", Path(folder) / "model.keras"
    synthesize(faces, 40, image_size=(64, 64))
    table = read_dataset(faces).split("train")
    assert len(table) == 32, len(table)

    model = FARAMTN("mobilenetv3_small", input_shape=(64, 64, 3))
    groups = groups_of(model)
    dataset = make_dataset(table, groups, (64, 64), 16)
    model.compile("adamw", **objective(groups))
    history = model.fit(dataset, epochs=1, callbacks=[DynamicWeighting()], verbose=2).history
    assert {f"dws_{group}" for group in groups} <= set(history), sorted(history)

    expected = inference_model(model).predict(dataset, verbose=0)
    model.save(file)
    actual = inference_model(load_model(file)).predict(dataset, verbose=0)
    assert actual.shape == (32, 40), actual.shape
    np.testing.assert_allclose(actual, expected, atol=1e-6)
print("The installation works.")
