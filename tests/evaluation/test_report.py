import json

import numpy as np
import pytest

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.evaluation.report import metrics, table, write_metrics
from keras_faramtn.evaluation.scores import score

GROUPS = AttributeGroups(
    {"late": ("hat", "beard"), "early": ("smile",)}, attributes=("smile", "beard", "hat")
)


def _scores():
    # smile: 2 of 3 correct | beard: nothing known | hat: all no, all correct
    labels = np.array([[1, -1, 0], [0, -1, 0], [0, -1, 0]])
    probabilities = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.1], [0.2, 0.5, 0.1]])
    return score(probabilities, labels, GROUPS.attributes)


def test_metrics_json_is_read_back_with_null_for_undefined_scores(tmp_path):
    content = metrics(_scores(), GROUPS, data="synthetic", split="test", model="small")
    path = tmp_path / "run" / "metrics.json"
    write_metrics(path, content)
    text = path.read_text(encoding="utf-8")
    assert "NaN" not in text
    read = json.loads(text)
    assert read == content
    assert list(read) == [
        "data",
        "split",
        "images",
        "model",
        "majority_of",
        "means",
        "varying",
        "attributes",
        "versions",
    ]
    assert (read["data"], read["split"], read["images"], read["model"]) == (
        "synthetic",
        "test",
        3,
        "small",
    )
    assert read["means"] == {
        "accuracy": 0.833333,  # (2/3 + 1) / 2
        "balanced_accuracy": 0.75,  # (1/1 + 1/2) / 2
        "average_precision": 1.0,
        "majority_accuracy": 0.833333,
        "attributes_in_accuracy": 2,
        "attributes_in_balanced_accuracy": 1,
    }
    assert read["varying"]["attributes"] == 1
    assert read["varying"]["gain"] == 0.0
    assert list(read["attributes"]) == ["smile", "beard", "hat"]
    assert read["attributes"]["beard"] == {
        "group": "late",
        "known": 0,
        "threshold": 0.5,
        "positive_rate": None,
        "majority_accuracy": None,
        "accuracy": None,
        "balanced_accuracy": None,
        "average_precision": None,
    }
    assert {"python", "keras", "numpy", "scikit-learn"} <= set(read["versions"])


def test_the_table_has_one_row_per_attribute_and_all_scores():
    lines = table(_scores(), GROUPS).splitlines()
    assert lines[0].split() == [
        "known",
        "rate",
        "majority",
        "accuracy",
        "balanced",
        "avg.",
        "prec.",
    ]
    assert [line.split() for line in lines[1:6]] == [
        ["late"],
        ["hat", "3", "0.0", "100.0", "100.0", "-", "-"],
        ["beard", "0", "-", "-", "-", "-", "-"],
        ["early"],
        ["smile", "3", "33.3", "66.7", "66.7", "75.0", "100.0"],
    ]
    assert lines[7].split() == ["mean", "83.3", "83.3", "75.0", "100.0"]
    assert lines[8].split() == ["mean", "of", "varying", "66.7", "66.7", "75.0", "100.0"]
    notes = " ".join(lines[9:])
    assert "over 2 of 3 attributes" in notes
    assert "over the 1 that have both" in notes
    assert "baseline: +0.0 points" in notes


def test_the_table_of_celeba_is_at_most_80_columns_wide():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (30, 40))
    scores = score(rng.random((30, 40)), labels, CELEBA_ATTRIBUTES)
    lines = table(scores, FACE_REGIONS).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("  ") and "known" not in line for line in lines) == 40


def test_a_nan_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_metrics(tmp_path / "metrics.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
