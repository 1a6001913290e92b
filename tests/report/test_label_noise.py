import sys

import numpy as np
import pytest
from scored import page_of, scored_model

from keras_faramtn.report.label_noise import label_suspects


def noisy_labels():
    """Labels of 300 images and 3 attributes, of which 20 are wrong, and good probabilities."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, (300, 3))
    probabilities = np.where(truth == 1, rng.beta(8, 2, truth.shape), rng.beta(2, 8, truth.shape))
    labels = truth.copy()
    wrong = rng.choice(300, 20, replace=False)
    labels[wrong, 1] = 1 - labels[wrong, 1]
    labels[:50, 2] = -1
    return probabilities, labels, set(wrong.tolist())


def test_wrong_labels_are_found():
    probabilities, labels, wrong = noisy_labels()
    by_column = {each.column: each for each in label_suspects(probabilities, labels)}
    suspected = by_column[1].rows.tolist()
    assert len(wrong & set(suspected)) >= 15
    assert len(suspected) <= 30
    assert set(suspected[:10]) <= wrong
    assert len(by_column[0].rows) < 15
    assert by_column[2].known == 250
    assert (by_column[2].rows >= 50).all()  # rows of the whole table


def test_attributes_with_one_class_are_skipped():
    labels = np.array([[1, 0, -1]] * 4)
    assert label_suspects(np.full((4, 3), 0.4), labels) == []


@pytest.mark.parametrize("installed", [True, False])
def test_the_page_states_how_many_or_what_to_install(tmp_path, monkeypatch, installed):
    probabilities, labels, _ = noisy_labels()
    if not installed:
        monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    page = page_of(scored_model(tmp_path, ["a", "b", "c"], labels, probabilities))
    assert ("known labels are suspected" in page) is installed
    assert ('pip install "keras-faramtn[report]"' in page) is not installed
