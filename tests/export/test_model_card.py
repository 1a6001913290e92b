"""The model card, as the Hugging Face hub and a reader see it."""

import json
import re

import keras
import numpy as np
import pytest
import yaml

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.metrics_file import metrics
from keras_faramtn.evaluation.scores import score
from keras_faramtn.evaluation.subgroups import Subgroups, subgroup_scores, subgroups_content
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.model_card import write_model_card
from keras_faramtn.export.parity import Parity
from keras_faramtn.models import MultiTask
from keras_faramtn.models.record import apply_temperatures, set_thresholds

ModelCard = pytest.importorskip("huggingface_hub").ModelCard

GROUPS = AttributeGroups(
    {"mouth": ["Lächeln", "a: b # c"], "eyes": ["x|y", "`z`_"]},
    ["Lächeln", "a: b # c", "x|y", "`z`_"],
)
REPORTED = ("accuracy", "balanced_accuracy", "average_precision", "f1", "calibration_error")
NAME = "mine: #1 - 'ä'"
PATHS = ("saved_model/1", "tflite/mine_float32.tflite", "onnx/mine.onnx", "model.weights.h5")


def _files(*paths):
    parity = Parity(5, 1e-6, 1e-7, 1.0, 1e-4)
    return [ExportedFile(path, 1_234_567, parity) for path in paths]


@pytest.fixture(scope="module")
def model():
    return MultiTask("mobilenetv3_small", GROUPS, (48, 32, 3))


@pytest.fixture(scope="module")
def evaluated():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (200, 4)).astype("int8")
    labels[:, 3] = 0  # only one class
    return np.clip(0.6 * labels + rng.uniform(0, 0.6, labels.shape), 0, 1), labels


@pytest.fixture(scope="module")
def content(evaluated):
    return _metrics(*evaluated)


def _metrics(probabilities, labels, **options):
    scores = score(probabilities, labels, GROUPS.attributes)
    intervals = score_intervals(scores, GROUPS, probabilities, labels, resamples=50)
    names = {"data": "faces: of # me", "split": "test", "model": "model.keras"}
    return metrics(scores, intervals, GROUPS, **names, **options)


def _card(model, content=None, paths=PATHS):
    return write_model_card(model, _files(*paths), "five *faces*", "x", content)


def test_the_hub_reads_the_metadata(model, content):
    renamed = keras.models.clone_model(model)
    renamed.name = NAME
    text = _card(renamed, content)
    data = ModelCard(text).data
    assert data.library_name == "keras"
    assert data.pipeline_tag == "image-classification"
    assert data.license == "other"
    assert data.license_name == "terms-of-the-training-data"
    assert data.datasets is None
    assert {"keras", "tflite", "onnx", "tensorflow", "face-attribute-recognition"} <= set(data.tags)
    assert data.model_name == NAME
    means = content["means"]
    assert {each.metric_type: each.metric_value for each in data.eval_results} == {
        name: means[name]
        for name in (
            "accuracy",
            "balanced_accuracy",
            "average_precision",
            "f1",
            "calibration_error",
        )
    }
    for each in data.eval_results:
        assert each.task_type == "image-classification"
        assert (each.dataset_name, each.dataset_split) == ("faces: of # me", "test")
        assert each.verified is None
    assert ModelCard(str(ModelCard(text))).data.to_dict() == data.to_dict()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["model-index"][0]["name"] == NAME
    json.dumps(front)  # no dates or other types that JSON doesn't have


@pytest.mark.parametrize(
    ("paths", "library", "tags"),
    [(["model.weights.h5"], "keras", {"keras"}), (["tflite/a_int8.tflite"], None, {"tflite"})],
)
def test_the_metadata_name_only_what_is_there(model, paths, library, tags):
    card = _card(model, None, paths)
    data = ModelCard(card).data
    assert data.library_name == library
    assert {"keras", "tflite", "onnx", "tensorflow"} & set(data.tags) == tags
    assert data.eval_results is None
    assert ("keras.saving.load_model" in card) == ("keras" in tags)
    assert ("Interpreter(" in card) == ("tflite" in tags)
    assert "onnxruntime" not in card
    assert "docker compose" not in card


def test_undefined_scores_are_not_in_the_metadata(model, evaluated):
    probabilities, labels = evaluated
    data = ModelCard(_card(model, _metrics(probabilities, np.zeros_like(labels)))).data
    names = {each.metric_type for each in data.eval_results}
    assert names == {"accuracy", "calibration_error", "f1"}


def test_names_are_shown_as_they_are(model):
    card = _card(model)
    assert "- **mouth**: Lächeln, a: b \\# c\n" in card
    assert "- **eyes**: x\\|y, \\`z\\`\\_\n" in card
    assert "on five \\*faces\\*;" in card


def test_the_code_of_the_card_can_be_run(model):
    card = _card(model)
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        compile(block, "card", "exec")


def test_scores_have_intervals_and_the_baseline(model, content):
    card = _card(model, content)
    means = content["means"]
    low, high = means["intervals"]["accuracy"]
    shown = f"{100 * means['accuracy']:.2f} ({100 * low:.2f} to {100 * high:.2f})"
    assert f"| accuracy | {shown} |" in card
    baseline = f"| majority-class accuracy | {100 * means['majority_accuracy']:.2f}"
    assert baseline in card
    assert "95 % intervals from 50 bootstrap resamples" in card
    assert "faces: of \\# me, test split, 200 images, measured with model.keras. In" in card
    group = content["groups"]["mouth"]
    assert f"| mouth | 2 | {100 * group['accuracy']:.2f} (" in card
    error = means["calibration_error"]
    assert f"calibration error over attributes is {100 * error:.2f} (" in card
    assert "were not calibrated" in card
    assert "has not been measured" in card


def test_without_scores_the_card_says_so(model):
    card = _card(model)
    assert "Unknown: there was no `metrics.json`" in card
    assert "The calibration error is unknown." in card
    assert "faramtn evaluate hf://OWNER/NAME --data DATA --by COLUMN" in card
    assert "The model file does not record its training data." in card


def test_calibration_and_thresholds_are_stated(model, evaluated):
    figures = {"calibration_error": 0.1234}
    calibration = {
        "fitted_on": {"split": "validation", "images": 1234},
        "fitted_on_the_evaluated_images": True,
        "maximise": "f1",
        "held_out": {
            "split": "validation",
            "images": 1234,
            "cross_fitted": True,
            "before": figures,
            "after": {"calibration_error": 0.0321},
        },
    }
    calibrated = keras.models.clone_model(model)
    apply_temperatures(calibrated, [0.5, 1.0, 2.0, 1.25])
    set_thresholds(calibrated, [0.25, 0.5, 0.5, 0.75])
    card = _card(calibrated, _metrics(*evaluated, calibration=calibration))
    assert "divided by a temperature, 0.50 to 2.00" in card
    assert "fitted on 1,234 images, validation split" in card
    assert "so they are optimistic" in card
    assert "the error is 3.21 percent; without calibration it is 12.34 percent" in card
    assert "record: Lächeln 0.250, a: b \\# c 0.500" in card


def test_subgroups_are_stated(model, evaluated):
    probabilities, labels = evaluated
    members = np.repeat([0, 1, 2, -1], [80, 100, 10, 10])
    scores = subgroup_scores(
        probabilities, labels, GROUPS.attributes, Subgroups("age|*", ("old", "y_", "tiny"), members)
    )
    card = _card(model, _metrics(*evaluated, subgroups=subgroups_content([scores])))
    assert "### By age\\|\\*" in card
    means = scores.subgroups[0].means
    assert f"| old | 80 | {100 * means['accuracy']:.2f} |" in card
    assert "| y\\_ | 100 |" in card
    assert "| tiny (small) | 10 |" in card
    gap = scores.mean_gaps["accuracy"]
    assert f"- accuracy: {100 * gap.value:+.1f} ({100 * gap.low:+.1f} to " in card
    assert "Images of unknown subgroup: 10 of 200. Small subgroups" in card
    counts = scores.attributes_in_means
    assert f"| *attributes in the mean* |  | {counts['accuracy']} | " in card
    assert "has not been measured" not in card


def test_the_citation_is_that_of_the_citation_file(model):
    with open("CITATION.cff", encoding="utf-8") as file:  # noqa: PTH123
        [paper] = yaml.safe_load(file)["references"]
    card = re.sub(r"[{}]", "", _card(model))
    assert f"title   = {paper['title']}," in card
    assert f"author  = {' and '.join(each['family-names'] for each in paper['authors'])}," in card
    assert f"journal = {paper['journal']}," in card
    assert f"year    = {paper['year']}," in card
    assert f"doi     = {paper['doi']}," in card
