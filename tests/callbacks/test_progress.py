import logging
import sys

import keras
import numpy as np
import pytest

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks import MeanScores, ShortProgressBar


def test_mean_scores_skip_a_group_with_an_undefined_score():
    groups = AttributeGroups({"a": ["x", "y", "z"], "b": ["u"], "c": ["v", "w"]}, list("uvwxyz"))
    scores = MeanScores(groups)
    logs = {"a_accuracy": 0.5, "b_accuracy": 0.9, "c_accuracy": 0.8}
    logs |= {"a_balanced_accuracy": 0.6, "b_balanced_accuracy": np.nan, "c_balanced_accuracy": 0.7}
    scores.on_epoch_end(0, logs)
    assert logs["accuracy"] == pytest.approx((3 * 0.5 + 0.9 + 2 * 0.8) / 6)
    assert logs["balanced_accuracy"] == pytest.approx((3 * 0.6 + 2 * 0.7) / 5)
    logs |= dict.fromkeys(["a_balanced_accuracy", "c_balanced_accuracy"], np.nan)
    scores.on_epoch_end(1, logs)
    assert np.isnan(logs["balanced_accuracy"])
    scores.on_epoch_end(2, None)


def test_training_means_are_not_those_of_validation_if_a_group_is_named_val():
    groups = AttributeGroups({"a": ["x"], "val_a": ["y"]}, ["x", "y"])
    images = keras.Input((1,))
    model = keras.Model(
        images,
        {g: keras.layers.Dense(1, name=g, kernel_initializer="zeros")(images) for g in groups},
    )
    model.compile("sgd", loss="mse", metrics={g: ["accuracy"] for g in groups})
    ones, zeros = np.ones((4, 1)), np.zeros((4, 1))

    history = model.fit(
        zeros,
        {"a": zeros, "val_a": zeros},
        validation_data=(zeros, {"a": ones, "val_a": ones}),
        verbose=0,
        callbacks=[MeanScores(groups)],
    ).history
    # All outputs are zero: correct in training, wrong in validation.
    assert history["accuracy"] == [1.0]
    assert history["val_accuracy"] == [0.0]


def _messages(caplog, logs, epoch=0):
    """What the bar of an epoch logs."""
    bar = ShortProgressBar()
    bar.set_params({"verbose": 1, "epochs": 3, "steps": 1})
    bar.set_model(keras.Sequential())
    with caplog.at_level(logging.INFO, logger="keras_faramtn"):
        bar.on_train_begin()
        bar.on_epoch_begin(epoch)
        bar.on_train_batch_end(0, {"loss": 1.0})
        bar.on_epoch_end(epoch, logs)
    return caplog.messages


LOGS = {"loss": 1.0, "accuracy": 0.875, "balanced_accuracy": 0.75, "dws_eyes": 1.25}


def test_a_terminal_shows_a_bar_and_a_line_of_scores_and_weights(caplog, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    expected = ["  train: accuracy 87.50 %, balanced 75.00 % | DWS: eyes 1.25"]
    assert _messages(caplog, LOGS) == expected
    assert "Epoch 1/3" in capsys.readouterr().out


@pytest.mark.parametrize("no_color", ["", "1"])
def test_without_a_terminal_or_colours_an_epoch_is_one_plain_line(
    no_color, caplog, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(no_color))
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert _messages(caplog, LOGS | {"val_loss": 0.51}, epoch=1) == [
        "Epoch 2/3: loss 1.0000, validation loss 0.5100 | "
        "train: accuracy 87.50 %, balanced 75.00 % | DWS: eyes 1.25"
    ]
    assert capsys.readouterr().out == ""
