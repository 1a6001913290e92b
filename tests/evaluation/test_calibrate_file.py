import contextlib
import io
import json
import logging
import sys

import jsonschema
import numpy as np
import pytest
from conftest import random_labels, write_celeba
from PIL import Image
from scipy.special import expit
from sklearn.metrics import brier_score_loss
from small_network import SIZE, initial_weights, recipe, small_network

from keras_faramtn import cli
from keras_faramtn.data.check import check_data
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.calibrate_file import calibrate_file
from keras_faramtn.evaluation.evaluate import evaluate_model
from keras_faramtn.evaluation.metrics_file import metrics_schema
from keras_faramtn.models import inference_model, load_model
from keras_faramtn.models.record import record_of, set_thresholds

IMAGES = 120
SPLITS = {
    "with_test": [0] * 4 + [1] * 60 + [2] * 56,
    "without_test": [0] * 4 + [1] * 116,
}
CERTAINTY = 5.0  # the factor by which the network's logits are too large


def _run(*arguments):
    """Runs the command; returns its exit status and what it prints."""
    out = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        patch.setattr(sys, "argv", ["faramtn", "calibrate", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code, out.getvalue()


def _pixels(table):
    return np.stack([np.asarray(Image.open(path)) for path in table.paths])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A network that is far too certain, `certain.keras`, and two data sets of the same images."""
    folder = tmp_path_factory.mktemp("calibration")
    rng = np.random.default_rng(0)
    labels = np.ones((IMAGES, 40), int)
    write_celeba(folder / "images", labels, [0] * IMAGES, size=SIZE[::-1])
    pixels = _pixels(check_data(folder / "images"))
    model = small_network(recipe().model, (*SIZE, 3))
    model.set_weights(initial_weights())
    for group, logits in model.predict(pixels, verbose=0).items():
        head = model.get_layer(group)
        kernel, bias = head.get_weights()
        scale = CERTAINTY / logits.std(axis=0)
        head.set_weights([kernel * scale, (bias - logits.mean(axis=0)) * scale])
        positive = rng.random(logits.shape) < expit((logits - logits.mean(0)) / logits.std(axis=0))
        labels[:, head.positions] = np.where(positive, 1, -1)
    labels[rng.random(labels.shape) < 0.1] = 0
    labels[:, 7] = 1  # one class only
    for name, splits in SPLITS.items():
        write_celeba(folder / name, labels, splits, size=SIZE[::-1])
    set_thresholds(model, np.linspace(0.2, 0.8, 40))
    model.save(folder / "certain.keras")
    return folder


@pytest.fixture(scope="module")
def model_file(data):
    return data / "certain.keras"


@pytest.fixture(scope="module")
def calibrated(data, model_file):
    """The folders written with a test split and thresholds, and without both."""
    parent, content = data / "calibrated", model_file.read_bytes()
    options = ("--data", data / "with_test", "--to", parent / "with_test", "--maximise", "f1")
    code, text = _run(model_file, *options)
    assert not code, text
    (parent / "with_test.txt").write_text(text)
    calibrate_file(model_file, data / "without_test", parent / "without_test")
    assert model_file.read_bytes() == content
    return parent


def _read(folder):
    return json.loads((folder / "calibration.json").read_text())


@pytest.mark.parametrize("name", ["with_test", "without_test"])
def test_the_written_model_is_the_calibrated_one(calibrated, data, model_file, name):
    content = _read(calibrated / name)
    temperatures = [each["temperature"] for each in content["attributes"].values()]
    before, after = load_model(model_file), load_model(calibrated / name / "model.keras")
    np.testing.assert_allclose(record_of(after).temperatures, temperatures, rtol=1e-12)
    pixels = _pixels(check_data(data / name).split("validation"))
    probabilities = [inference_model(each).predict(pixels, verbose=0) for each in (before, after)]
    for group, logits in before.predict(pixels, verbose=0).items():
        positions = list(before.get_layer(group).positions)
        expected = 1 / (1 + np.exp(-logits / np.array(temperatures)[positions]))
        np.testing.assert_allclose(probabilities[1][:, positions], expected, atol=1e-5)
    thresholds = [each["threshold"] for each in content["attributes"].values()]
    if name == "with_test":
        assert record_of(after).thresholds == tuple(thresholds)
    else:
        assert set(thresholds) == {None}
        decisions = [
            each > np.array(record_of(model).thresholds)
            for each, model in zip(probabilities, (before, after), strict=True)
        ]
        np.testing.assert_array_equal(*decisions)


def test_figures_are_of_images_that_nothing_was_fitted_on(calibrated, data, model_file):
    content = _read(calibrated / "with_test")
    assert content["fitted_on"] == {"split": "validation", "images": 60}
    assert content["measured_on"] == {"split": "test", "images": 56, "cross_fitted": False}
    table = check_data(data / "with_test").split("test")
    for when, path in (("before", model_file), ("after", calibrated / "with_test/model.keras")):
        evaluation = evaluate_model(load_model(path), table)
        mean = evaluation.scores.mean
        for figure in ("calibration_error", "brier", "accuracy", "balanced_accuracy", "f1"):
            assert content[when][figure] == pytest.approx(getattr(mean, figure), abs=1e-4)
    name, known = "Smiling", table.labels[:, 31] >= 0
    brier = brier_score_loss(table.labels[known, 31], evaluation.probabilities[known, 31])
    assert content["attributes"][name]["after"]["brier"] == pytest.approx(brier, abs=1e-5)
    assert content["before"]["calibration_error"] > content["after"]["calibration_error"] + 0.05

    content = _read(calibrated / "without_test")
    assert content["fitted_on"] == {"split": "validation", "images": 116}
    assert content["measured_on"] == {"split": "validation", "images": 116, "cross_fitted": True}
    assert content["before"]["accuracy"] == content["after"]["accuracy"]


def test_an_attribute_with_one_class_is_noted(calibrated):
    each = _read(calibrated / "with_test")["attributes"]["Big_Nose"]
    assert (each["temperature"], each["threshold"]) == (1.0, 0.5)
    assert each["note"] == "not fitted: all known labels are equal"
    assert each["after"]["balanced_accuracy"] is None


@pytest.mark.parametrize(("name", "same"), [("with_test", False), ("without_test", True)])
def test_metrics_state_what_was_fitted_on_which_images(calibrated, data, name, same):
    metrics = json.loads((calibrated / name / "metrics.json").read_text())
    jsonschema.validate(metrics, metrics_schema())
    assert metrics["calibration"]["fitted_on_the_evaluated_images"] is same
    assert metrics["calibration"]["maximise"] == (None if same else "f1")
    content = _read(calibrated / name)
    assert metrics["calibration"]["held_out"]["after"] == content["after"]
    table = check_data(data / name).split(metrics["split"])
    scores = evaluate_model(load_model(calibrated / name / "model.keras"), table).scores
    assert metrics["images"] == len(table)
    for each in ("calibration_error", "brier", "average_precision", "f1"):  # up to the rounding
        assert metrics["means"][each] == pytest.approx(getattr(scores.mean, each), abs=2e-6)
    with Image.open(calibrated / name / "calibration.png") as figure:
        assert figure.format == "PNG"


def test_a_calibrated_model_can_be_calibrated_again(calibrated, data, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    once = calibrated / "without_test" / "model.keras"
    calibrate_file(once, data / "without_test", tmp_path / "again")
    content = _read(tmp_path / "again")
    fitted = [each["temperature"] for each in content["attributes"].values()]
    np.testing.assert_allclose(fitted, 1, rtol=1e-4)  # up to the rounding of the weights
    first, both = (
        record_of(load_model(path)).temperatures for path in (once, tmp_path / "again/model.keras")
    )
    np.testing.assert_allclose(both, np.multiply(first, fitted), rtol=1e-9)
    before, after = (content[when]["calibration_error"] for when in ("before", "after"))
    falls = before - after >= 1e-4  # a hundredth of a percentage point
    verdict = "The calibration error falls by" if falls else "error does not fall"
    assert verdict in caplog.text


def test_a_test_split_of_unknown_labels_gives_no_figures(data, model_file, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    labels = random_labels(30)
    labels[20:] = 0
    write_celeba(tmp_path / "data", labels, [1] * 20 + [2] * 10, size=SIZE[::-1])
    calibrate_file(model_file, tmp_path / "data", tmp_path / "new")
    assert "The calibration error is not defined: no label of these images" in caplog.text
    content = _read(tmp_path / "new")
    assert set(content["after"].values()) == {None}
    metrics = json.loads((tmp_path / "new" / "metrics.json").read_text())
    jsonschema.validate(metrics, metrics_schema())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "all"}, "unknown split 'all'; choose one of train, validation, test"),
        ({"maximise": "recall"}, "can't maximise 'recall'; choose one of balanced_accuracy"),
        ({"split": "test"}, "the test split has no images"),
    ],
)
def test_wrong_choices_are_refused(data, model_file, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        calibrate_file(model_file, data / "without_test", tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_labels_of_one_class_are_refused(model_file, tmp_path):
    labels = random_labels(6)
    write_celeba(tmp_path / "data", np.full_like(labels, -1), [1] * 6, size=SIZE[::-1])
    with pytest.raises(InputError, match="no attribute has both yes and no labels in the valid"):
        calibrate_file(model_file, tmp_path / "data", tmp_path / "new")


def test_weights_that_are_not_finite_are_reported(data, model_file, tmp_path):
    model = load_model(model_file)
    head = next(layer for layer in model.layers if "Smiling" in getattr(layer, "attributes", ()))
    head.bias.assign(np.where(np.array(head.attributes) == "Smiling", np.nan, 0))
    model.save(tmp_path / "broken.keras")
    with pytest.raises(InputError, match=r"\.jpg: the logit of Smiling is nan; .* diverged"):
        calibrate_file(tmp_path / "broken.keras", data / "with_test", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_reports_what_changed(calibrated):
    text = (calibrated / "with_test.txt").read_text()
    assert "Fitted on 60 images of the validation split." in text
    assert "on 56 images of the test split, which nothing was fitted on:" in text
    assert "Big_Nose: temperature 1, not fitted: all known labels are equal." in text
    content = _read(calibrated / "with_test")
    before, after = (content[when]["calibration_error"] for when in ("before", "after"))
    assert f"The calibration error falls by {100 * (before - after):.2f} percentage" in text
    names = sorted(path.name for path in (calibrated / "with_test").iterdir())
    assert names == ["calibration.json", "calibration.png", "metrics.json", "model.keras"]


def test_the_command_overwrites_nothing(calibrated, data, model_file):
    folder = calibrated / "with_test"
    content = {path: path.read_bytes() for path in folder.iterdir()}
    code, text = _run(model_file, "--data", data / "with_test", "--to", folder)
    assert code == 1
    assert "with_test: it already exists" in text
    assert content == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "name", ["model.tflite", "model.onnx", "http://localhost:8501/v1/models/x"]
)
def test_the_command_refuses_files_without_weights_to_change(data, tmp_path, name):
    code, text = _run(name, "--data", data / "with_test", "--to", tmp_path / "new")
    assert code == 1
    assert f"{name}: temperatures change the weights" in text
    assert "calibrate the .keras file, and export it again" in text
    assert "Traceback" not in text
