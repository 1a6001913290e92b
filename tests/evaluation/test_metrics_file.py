import json

import jsonschema
import numpy as np
import pytest

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.metrics_file import metrics, metrics_schema, write_metrics
from keras_faramtn.evaluation.scores import SCORES, score

GROUPS = AttributeGroups(
    {"late": ("hat", "beard"), "early": ("smile",)}, attributes=("smile", "beard", "hat")
)
NAMES = {"data": "synthetic", "split": "test", "model": "small"}


def _content(probabilities, labels, **options):
    scores = score(probabilities, labels, GROUPS.attributes)
    intervals = score_intervals(scores, GROUPS, probabilities, labels, resamples=20)
    return metrics(scores, intervals, GROUPS, **NAMES, **options)


def _valid(content):
    schema = metrics_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(content)
    return content


@pytest.fixture(scope="module")
def content():
    # smile: 2 of 3 correct | beard: nothing known | hat: all no, all correct
    labels = np.array([[1, -1, 0], [0, -1, 0], [0, -1, 0]])
    probabilities = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.1], [0.2, 0.5, 0.1]])
    return _content(probabilities, labels)


def test_metrics_json_is_read_back_with_null_for_undefined_scores(content, tmp_path):
    path = tmp_path / "run" / "metrics.json"
    write_metrics(path, content)
    text = path.read_text(encoding="utf-8")
    assert "NaN" not in text
    read = _valid(json.loads(text))
    assert read == content
    assert (read["schema_version"], read["images"]) == (1, 3)
    assert NAMES.items() <= read.items()
    means = read["means"]
    assert means["intervals"].keys() == set(SCORES)
    assert {name: value for name, value in means.items() if name != "intervals"} == {
        "accuracy": 0.833333,  # (2/3 + 1) / 2
        "majority_accuracy": 0.833333,
        "balanced_accuracy": 0.75,  # (1/1 + 1/2) / 2
        "precision": 0.5,
        "recall": 1.0,
        "f1": 0.666667,
        "average_precision": 1.0,
        "roc_auc": 1.0,
        "calibration_error": 0.233333,  # ((0.1 + 0.8 + 0.2) / 3 + 0.1) / 2
        "brier": 0.12,  # ((0.01 + 0.64 + 0.04) / 3 + 0.01) / 2
        "attributes_in_accuracy": 2,
        "attributes_in_balanced_accuracy": 1,
        "attributes_in_precision": 1,
    }
    assert read["varying"]["attributes"] == 1
    assert read["varying"]["gain"] == 0.0
    assert read["varying"]["intervals"].keys() == {*SCORES, "gain"}
    low, high = read["varying"]["intervals"]["accuracy"]
    assert 0 <= low < 0.666667 < high <= 1
    assert list(read["groups"]) == ["late", "early"]
    assert (read["groups"]["late"]["attributes"], read["groups"]["late"]["accuracy"]) == (2, 1.0)
    assert list(read["attributes"]) == ["smile", "beard", "hat"]
    assert read["attributes"]["beard"] == {
        "group": "late",
        "known": 0,
        "threshold": 0.5,
        "positive_rate": None,
        **dict.fromkeys(SCORES),
        "intervals": dict.fromkeys(SCORES),
    }
    assert read["bootstrap"] == {"resamples": 20, "level": 0.95}
    assert {"python", "keras", "numpy", "scikit-learn"} <= set(read["versions"])


@pytest.mark.parametrize(
    "probabilities",
    [np.zeros((1, 3)), np.ones((2, 3)), np.full((4, 3), 0.5, "float32")],
    ids=["one image", "all 1", "all equal"],
)
@pytest.mark.parametrize("label", [-1, 0, 1])
def test_odd_data_give_valid_files(probabilities, label):
    labels = np.full(probabilities.shape, label)
    content = _valid(_content(probabilities, labels))
    json.dumps(content, allow_nan=False)
    mixed = labels.copy()
    mixed[0] = [1, 0, -1]
    _valid(_content(probabilities, mixed))


def test_every_field_is_described_and_others_are_refused(content):
    def objects(schema):
        if isinstance(schema, dict):
            if "properties" in schema:
                yield schema
            for each in schema.values():
                yield from objects(each)

    found = list(objects(metrics_schema()))
    assert len(found) > 8
    for each in found:
        assert each["additionalProperties"] is False
        for field, described in each["properties"].items():
            # What refers to a definition may leave it to the definition.
            assert described.keys() & {"description", "$ref"}, field
    with pytest.raises(jsonschema.ValidationError, match="'loss' was unexpected"):
        _valid(content | {"loss": 0.5})
    with pytest.raises(jsonschema.ValidationError, match=r"1\.5 is greater than the maximum"):
        _valid(content | {"means": content["means"] | {"accuracy": 1.5}})


def test_a_nan_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_metrics(tmp_path / "metrics.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
