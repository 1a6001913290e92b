import numpy as np

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.score_table import score_table
from keras_faramtn.evaluation.scores import score

GROUPS = AttributeGroups(
    {"late": ("hat", "beard"), "early": ("smile",)}, attributes=("smile", "beard", "hat")
)


def test_the_table_has_one_row_per_attribute_and_the_means_of_all_scores():
    # smile: 2 of 3 correct | beard: nothing known | hat: all no, all correct
    labels = np.array([[1, -1, 0], [0, -1, 0], [0, -1, 0]])
    probabilities = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.1], [0.2, 0.5, 0.1]])
    lines = score_table(score(probabilities, labels, GROUPS.attributes), GROUPS).splitlines()
    assert lines[0].split() == (
        ["known", "rate", "majority", "accuracy", "balanced", "F1", "AP", "ECE"]
    )
    assert [line.split() for line in lines[1:6]] == [
        ["late"],
        ["hat", "3", "0.0", "100.0", "100.0", "-", "-", "-", "10.0"],
        ["beard", "0", "-", "-", "-", "-", "-", "-", "-"],
        ["early"],
        ["smile", "3", "33.3", "66.7", "66.7", "75.0", "66.7", "100.0", "36.7"],
    ]
    assert lines[7].split() == ["mean", "mean", "of", "varying"]
    means = {line[:20].strip(): line[20:].split() for line in lines[8:18]}
    assert means == {
        "accuracy": ["83.3", "66.7"],
        "majority accuracy": ["83.3", "66.7"],
        "balanced accuracy": ["75.0", "75.0"],
        "precision": ["50.0", "50.0"],
        "recall": ["100.0", "100.0"],
        "F1": ["66.7", "66.7"],
        "average precision": ["100.0", "100.0"],
        "ROC AUC": ["100.0", "100.0"],
        "calibration error": ["23.3", "36.7"],
        "Brier score": ["12.0", "23.0"],
    }
    notes = " ".join(lines[18:])
    assert "over 2 of 3 attributes" in notes
    assert "over 1 that have both yes and no labels, precision over 1 that" in notes
    assert "baseline: +0.0 points" in notes
    assert "brackets" not in notes


def test_the_table_of_celeba_is_at_most_80_columns_wide():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (30, 40))
    probabilities = rng.random((30, 40))
    scores = score(probabilities, labels, CELEBA_ATTRIBUTES)
    intervals = score_intervals(scores, FACE_REGIONS, probabilities, labels, resamples=30)
    text = score_table(scores, FACE_REGIONS, intervals)
    assert max(map(len, text.splitlines())) <= 80
    assert {line.split()[0] for line in text.splitlines() if line} > set(CELEBA_ATTRIBUTES)
    low, high = (100 * end for end in intervals.mean["f1"])
    assert f"F1                   {100 * scores.mean.f1:.1f} [{low:.1f}, {high:.1f}]" in text
    assert "95 % intervals, over 30 resamples" in text
