import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation import convergence
from keras_faramtn.evaluation.comparison_markdown import _convergence as convergence_markdown
from keras_faramtn.evaluation.convergence import (
    LEVELS,
    constant_losses,
    convergence_of_runs,
    epoch_of_share,
    improvement_shares,
    validation_losses,
)
from keras_faramtn.evaluation.convergence_plot import convergence_figure
from keras_faramtn.losses import MaskedBinaryCrossentropy

EPOCHS = np.arange(1, 401)
GROUPS = AttributeGroups({"mouth": ["a", "c"], "eyes": ["b"]}, ["a", "b", "c"])


def exponential(constant, final, epochs, times=EPOCHS):
    """A loss that falls from `constant` to `final`; `epochs` is its time constant."""
    return (final + (constant - final) * np.exp(-times / epochs)).tolist()


@pytest.mark.parametrize(("constant", "final"), [(0.7, 0.1), (0.02, 0.015)])
def test_shares_do_not_depend_on_the_scale_of_the_loss(constant, final):
    shares = improvement_shares(exponential(constant, final, 20), constant)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares[1:] == pytest.approx(1 - np.exp(-EPOCHS / 20), abs=1e-6)


def test_the_epoch_of_a_share_follows_the_time_constant():
    for epochs in (10, 25):
        shares = improvement_shares(exponential(0.5, 0.2, epochs), 0.5)
        for level in LEVELS:
            # Linear instead of exponential between epochs: later, but by less than a tenth.
            expected = -epochs * np.log(1 - level)
            assert expected <= epoch_of_share(shares, level) < expected + 0.1


def test_the_spread_is_the_standard_deviation_over_the_groups():
    constant = {"one": 0.7, "two": 0.3, "three": 0.5}
    time_constants = np.array([10.0, 20.0, 36.0])
    losses = {
        group: exponential(each, 0.1 * each, epochs)
        for (group, each), epochs in zip(constant.items(), time_constants, strict=True)
    }
    found = convergence_of_runs([losses, losses], constant)
    # sqrt(((-12) ^ 2 + (-2) ^ 2 + 14 ^ 2) / 3): the mean of the time constants is 22.
    deviation = 10.7083
    for level, each in zip(LEVELS, found["spread_of_groups"], strict=True):
        assert each["mean"] == pytest.approx(-np.log(1 - level) * deviation, abs=0.1)
        assert each["by_seed"] == [each["mean"]] * 2
        assert each["spread"] == 0
    together = convergence_of_runs(
        [dict.fromkeys(constant, losses["one"])], dict.fromkeys(constant, 0.7)
    )
    assert [each["mean"] for each in together["spread_of_groups"]] == [0, 0, 0]


def test_the_loss_is_interpolated_between_epochs_and_may_rise():
    shares = improvement_shares([1.2, 0.5, 0.0, 0.4], 1.0)
    assert shares == pytest.approx([0, -0.2, 0.5, 1, 0.6])
    # From -0.2 after epoch 1 to 0.5 after epoch 2, and on to 1 after epoch 3.
    assert epoch_of_share(shares, 0.15) == pytest.approx(1.5)
    assert epoch_of_share(shares, 0.8) == pytest.approx(2.6)
    # What is reached first counts, though the loss rises later.
    assert epoch_of_share(improvement_shares([0.2, 0.9, 0.0], 1.0), 0.5) == pytest.approx(0.625)


def test_epochs_without_validation_are_interpolated():
    shares = improvement_shares([np.nan, 0.5, np.nan, 0.0], 1.0)
    assert shares == pytest.approx([0, np.nan, 0.5, np.nan, 1], nan_ok=True)
    assert epoch_of_share(shares, 0.25) == pytest.approx(1)
    assert epoch_of_share(shares, 0.75) == pytest.approx(3)


@pytest.mark.parametrize("losses", [[0.9, 0.8], [0.7, 0.7], [np.nan, np.nan], []])
def test_a_group_that_never_improves(losses, tmp_path):
    shares = improvement_shares(losses, 0.7)
    assert len(shares) == len(losses) + 1
    assert np.isnan(shares).all()
    assert np.isnan(epoch_of_share(shares, 0.5))
    better = np.linspace(0.6, 0.5, len(losses))
    found = convergence_of_runs([{"a": losses, "b": better}], {"a": 0.7, "b": 0.7})
    json.dumps(found, allow_nan=False)
    assert found["groups"]["a"]["epochs"][0] == {"mean": None, "spread": None, "by_seed": [None]}
    assert all(each["mean"] is None for each in found["spread_of_groups"])
    content = {"levels": list(LEVELS), "networks": {"plain": found}}
    figure = convergence_figure(content, tmp_path / "convergence.png")
    text = " ".join(figure.axes[0].texts[0].get_text().split())
    assert "spread in epochs not defined" in text
    assert "never better than constant: a" in text


@pytest.mark.parametrize(("weight", "smoothing"), [(1.0, 0.0), (3.0, 0.0), (1.0, 0.2), (2.0, 0.1)])
def test_the_constant_loss_is_the_smallest_of_a_constant_prediction(weight, smoothing):
    """Compared with the loss that networks are trained with, for a grid of constant logits."""
    rng = np.random.default_rng(0)
    labels = rng.choice([1, 0, -1], (600, 3), p=[0.2, 0.6, 0.2])
    rates = np.array([np.mean(column[column >= 0]) for column in labels.T])
    found = constant_losses(labels, rates, GROUPS, weight, smoothing)
    assert list(found) == ["mouth", "eyes"]
    loss = MaskedBinaryCrossentropy(weight, smoothing)
    values = [
        float(loss(labels[:, 1:2].astype("float32"), np.full((600, 1), logit, "float32")))
        for logit in np.linspace(-3, 2, 201)
    ]
    assert found["eyes"] == pytest.approx(min(values), abs=1e-4)
    # All labels count equally, whichever attribute they are of.
    by_attribute = [
        constant_losses(
            labels[:, [0]], rates[[0]], AttributeGroups({"x": ["a"]}, ["a"]), weight, smoothing
        ),
        constant_losses(
            labels[:, [2]], rates[[2]], AttributeGroups({"x": ["c"]}, ["c"]), weight, smoothing
        ),
    ]
    known = [(labels[:, column] >= 0).sum() for column in (0, 2)]
    assert found["mouth"] == pytest.approx(
        np.average([each["x"] for each in by_attribute], weights=known)
    )


def test_the_constant_loss_with_rare_and_unknown_labels():
    labels = np.array([[1, -1, 0], [0, -1, 0]])
    found = constant_losses(labels, np.array([0.0, 0.3, np.nan]), GROUPS)
    # Of a: 0.1 % for one image with and one without it; of c: 50 % is predicted.
    of_a = (-np.log(0.001) - np.log(0.999)) / 2
    assert found["mouth"] == pytest.approx((of_a + np.log(2)) / 2)
    assert np.isnan(found["eyes"])


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(("weight", "smoothing"), [(1.0, 0.0), (2.0, 0.1)])
def test_the_constant_loss_is_what_keras_logs_for_constant_logits(weight, smoothing, run_eagerly):
    """Sparse labels, a batch of which a group has none, and a last batch of three images."""
    rng = np.random.default_rng(3)
    labels = rng.choice([1, 0, -1], (19, 3), p=[0.2, 0.3, 0.5])
    labels[16:, 2] = 1  # the last batch has more known labels, and others, than the rest
    labels[8:16, 1] = -1
    rates = np.array([0.3, 0.6, 0.2])
    smoothed = rates * (1 - smoothing) + smoothing / 2
    logits = np.log(weight * smoothed / (1 - smoothed)).astype("float32")
    images = keras.Input((1,))
    outputs = {
        group: keras.layers.Dense(len(GROUPS[group]), name=group)(images) for group in GROUPS
    }
    model = keras.Model(images, outputs)
    for group in GROUPS:
        kernel = np.zeros((1, len(GROUPS[group])))
        model.get_layer(group).set_weights([kernel, logits[list(GROUPS.positions(group))]])
    # Eagerly, TensorFlow knows the size of each batch, as JAX does: then batches count by it.
    model.compile(
        loss={group: MaskedBinaryCrossentropy(weight, smoothing) for group in GROUPS},
        loss_weights={"mouth": 5.0, "eyes": 0.2},
        run_eagerly=run_eagerly,
    )
    by_group = {
        group: labels[:, list(GROUPS.positions(group))].astype("float32") for group in GROUPS
    }
    dataset = tf.data.Dataset.from_tensor_slices((np.zeros((19, 1), "float32"), by_group))
    logged = model.evaluate(dataset.batch(8), verbose=0, return_dict=True)

    def constant(**batches):
        found = constant_losses(labels, rates, GROUPS, weight, smoothing, **batches)
        return [found[group] for group in GROUPS]

    expected = [logged[f"{group}_loss"] for group in GROUPS]
    assert constant(batch_size=8, batches_by_size=run_eagerly) == pytest.approx(expected, rel=1e-5)
    for others in (
        constant(),
        constant(batch_size=8, batches_by_size=not run_eagerly),
        constant(batch_size=16, batches_by_size=run_eagerly),
    ):
        assert others != pytest.approx(expected, rel=1e-3)


def test_losses_out_of_the_history_of_keras():
    images = keras.Input((4,))
    outputs = {name: keras.layers.Dense(1, name=name)(images) for name in ("eyes", "mouth")}
    model = keras.Model(images, outputs)
    model.compile("sgd", loss=dict.fromkeys(outputs, "mse"), loss_weights={"eyes": 3, "mouth": 1})
    data = np.ones((8, 4)), {name: np.ones((8, 1)) for name in outputs}
    history = model.fit(*data, validation_data=data, epochs=2, verbose=0).history
    groups = AttributeGroups({"mouth": ["x"], "eyes": ["y"]}, ["x", "y"])
    found = validation_losses(history, groups)
    assert list(found) == ["mouth", "eyes"]
    # Not multiplied by the weight, which DWS changes during training.
    last = np.mean((np.asarray(model(data[0])["eyes"]) - 1) ** 2)
    assert found["eyes"][-1] == pytest.approx(last, rel=1e-4)


def test_a_history_without_groups():
    assert validation_losses({"loss": [1.0], "val_loss": [1.0]}, GROUPS) == {}
    assert validation_losses({"val_mouth_loss": [1.0]}, GROUPS) == {}
    one = AttributeGroups({"mouth": ["a"]}, ["a"])
    assert validation_losses({"val_mouth_loss": [1.0]}, one) == {}


def test_why_a_spread_is_not_defined(tmp_path, monkeypatch):
    monkeypatch.setattr(convergence, "LEVELS", (0.8,))
    constant = {"always": 0.7, "once": 0.7, "never": 0.7, "no_labels": np.nan, "other": 1.0}
    better, worse = [0.6, 0.5], [0.8, 0.7]
    runs = [
        {"always": better, "once": better, "never": worse, "no_labels": [0, 0]},
        {"always": better, "once": worse, "never": worse, "no_labels": [0, 0]},
    ]
    content = {
        "levels": [0.8],
        "networks": {
            "two_seeds": convergence_of_runs(runs, constant),
            "one_seed": convergence_of_runs(runs[1:], constant),
            "fine": convergence_of_runs([{"always": better, "other": better}], constant),
        },
    }
    two_seeds = [
        "better than constant in only 1 of 2 runs: once",
        "better than constant in no run: never",
        "no known validation label: no labels",
    ]
    one_seed = ["never better than constant: once, never", "no known validation label: no labels"]
    figure = convergence_figure(content, tmp_path / "convergence.png")
    texts = [" ".join(ax.texts[0].get_text().split()) for ax in figure.axes]
    assert texts == [
        " ".join(["spread in epochs not defined", *two_seeds]),
        " ".join(["spread in epochs not defined", *one_seed]),
        "spread in epochs at 80 %: 0.30",
    ]
    text = convergence_markdown(content)[-1]
    assert text.endswith(f" two seeds ({'; '.join(two_seeds)}), one seed ({'; '.join(one_seed)}).")


def test_different_numbers_of_epochs_are_stated(tmp_path, monkeypatch):
    monkeypatch.setattr(convergence, "LEVELS", (0.5, 0.9))

    def network(epochs):
        losses = {group: exponential(0.6, 0.2, 2, np.arange(1, epochs + 1)) for group in GROUPS}
        return convergence_of_runs([losses], dict.fromkeys(GROUPS, 0.6))

    warning = "spreads of different schedules can't be compared"
    networks = {"long": network(5), "short": network(3)}
    for names, differ in ((["long", "short"], True), (["long"], False)):
        content = {"levels": [0.5, 0.9], "networks": {name: networks[name] for name in names}}
        figure = convergence_figure(content, tmp_path / "convergence.png")
        heading = figure.get_suptitle()
        assert "reach 50 and 90 %." in heading
        assert "seeds" not in heading
        titles = [ax.get_title("left") for ax in figure.axes]
        assert titles == (["long (5 epochs)", "short (3 epochs)"] if differ else ["long"])
        table, text, *others = convergence_markdown(content)
        assert others == []
        header, _, first, *_ = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
        )
        assert header == ["spread of the groups", *["epochs"] * differ, "at 50 %", "at 90 %"]
        assert first == ["long", *["5"] * differ, "0.00", "0.00"]
        assert "they reach 50 and 90 % of the largest improvement" in text
        assert (warning in heading) == (warning in text) == differ


def test_the_figure_has_a_panel_for_each_network(tmp_path):
    def network(*time_constants):
        times = np.arange(1, 13)
        losses = {
            f"group_{number}": exponential(0.6, 0.2, epochs, times)
            for number, epochs in enumerate(time_constants)
        }
        return convergence_of_runs([losses, losses], dict.fromkeys(losses, 0.6))

    networks = {"with_DWS": network(2, 2.2, 2.4), "without_DWS": network(1, 2, 5)}
    path = tmp_path / "convergence.png"
    content = {"levels": list(LEVELS), "networks": networks}
    figure = convergence_figure(content, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("RGB")).std() > 5
    assert "after each epoch, mean over 2 seeds." in figure.get_suptitle()
    assert "50, 80 and 95 %" in figure.get_suptitle()
    assert [ax.get_title("left") for ax in figure.axes] == ["with DWS", "without DWS"]
    for ax, each in zip(figure.axes, networks.values(), strict=True):
        lines = [line.get_ydata() for line in ax.lines]
        assert [list(line) for line in lines[:3]] == [[level, level] for level in LEVELS]
        shares = [group["shares_by_seed"][0] for group in each["groups"].values()]
        assert np.allclose(lines[3:6], shares)
        assert np.allclose(lines[6], np.mean(shares, axis=0))  # the thick one
        for dots, group in zip(ax.lines[7:], each["groups"].values(), strict=True):
            assert list(dots.get_xdata()) == [epoch["mean"] for epoch in group["epochs"]]
            assert list(dots.get_ydata()) == list(LEVELS)
        spread = each["spread_of_groups"][1]
        assert f"at 80 %: {spread['mean']:.2f} ± 0.00" in ax.texts[0].get_text()
