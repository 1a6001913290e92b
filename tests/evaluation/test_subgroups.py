import json
import logging
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from conftest import write_celeba, write_csv_table
from fairlearn.metrics import (
    MetricFrame,
    equalized_odds_difference,
    false_positive_rate,
    true_positive_rate,
)
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from keras_faramtn.attributes import single_group
from keras_faramtn.data.readers.csv_table import read_csv_table
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import evaluate
from keras_faramtn.evaluation.calibration_error import expected_calibration_error
from keras_faramtn.evaluation.gaps import gap
from keras_faramtn.evaluation.metrics_file import metrics_schema
from keras_faramtn.evaluation.subgroup_rates import GAP_RATES, RATES
from keras_faramtn.evaluation.subgroup_table import subgroup_table
from keras_faramtn.evaluation.subgroups import (
    Subgroups,
    subgroup_scores,
    subgroups_content,
    subgroups_of,
)
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord

ATTRIBUTES = ("Smiling", "Bald", "Wearing_Hat")
THRESHOLDS = np.array([0.5, 0.3, 0.6])


def _faces(images=900, seed=3, unknown=0.1):
    """Predictions that are worse for the subgroup "old", and its image numbers."""
    rng = np.random.default_rng(seed)
    members = rng.choice([-1, 0, 1, 2], images, p=[0.05, 0.25, 0.4, 0.3])
    labels = (rng.random((images, 3)) < [0.5, 0.15, 0.3]).astype("int8")
    noise = np.where(members == 1, 0.9, 0.4)[:, np.newaxis]
    logits = rng.normal(2 * labels - 1, noise)
    labels[rng.random(labels.shape) < unknown] = -1
    return 1 / (1 + np.exp(-logits)), labels, Subgroups("age", ("mid", "old", "young"), members)


@pytest.fixture(scope="module")
def faces():
    return _faces()


@pytest.fixture(scope="module")
def scores(faces):
    probabilities, labels, subgroups = faces
    return subgroup_scores(probabilities, labels, ATTRIBUTES, subgroups, THRESHOLDS)


def _table(columns, attributes=("Smiling",), labels=None):
    count = len(next(iter(columns.values())))
    return FaceTable(
        attributes=attributes,
        paths=tuple(Path(f"{n}.jpg") for n in range(count)),
        labels=np.ones((count, len(attributes)), "int8") if labels is None else labels,
        splits=np.full(count, 2, "int8"),
        source=Path("faces/attributes.csv"),
        lines=np.arange(count) + 2,
        columns={name: np.array(values, object) for name, values in columns.items()},
    )


def test_rates_are_those_of_fairlearn(faces, scores):
    probabilities, labels, subgroups = faces
    assert (scores.images, scores.unknown) == (900, (subgroups.members < 0).sum())
    for column, attribute in enumerate(ATTRIBUTES):
        known = (labels[:, column] >= 0) & (subgroups.members >= 0)
        truth = labels[known, column]
        predicted = probabilities[known, column] > THRESHOLDS[column]
        names = np.array(subgroups.names)[subgroups.members[known]]
        frame = MetricFrame(
            metrics={
                "known": lambda truth, _: len(truth),
                "positive_rate": lambda truth, _: truth.mean(),
                "accuracy": accuracy_score,
                "balanced_accuracy": balanced_accuracy_score,
                "true_positive_rate": true_positive_rate,
                "false_positive_rate": false_positive_rate,
            },
            y_true=truth,
            y_pred=predicted,
            sensitive_features=names,
        )
        largest = frame.difference(method="between_groups")
        for subgroup in scores.subgroups:
            found = subgroup.attributes[attribute]
            for name, expected in frame.by_group.loc[subgroup.name].items():
                assert getattr(found, name) == pytest.approx(expected, abs=1e-12)
            chosen = names == subgroup.name
            assert found.calibration_error == pytest.approx(
                expected_calibration_error(probabilities[known, column][chosen], truth[chosen])
            )
            assert found.positives == truth[chosen].sum()
            assert found.too_few == ()
        gaps = scores.gaps[attribute]
        for rate in GAP_RATES[:3]:
            assert gaps[rate].value == pytest.approx(largest[rate])
            by_group = frame.by_group[rate]
            assert by_group[gaps[rate].of] == by_group.max()
            assert by_group[gaps[rate].minus] == by_group.min()
        assert max(
            gaps["true_positive_rate"].value, gaps["false_positive_rate"].value
        ) == pytest.approx(equalized_odds_difference(truth, predicted, sensitive_features=names))


def test_means_are_over_the_attributes(scores):
    assert scores.attributes_in_means == dict.fromkeys(RATES, 3)
    for subgroup in scores.subgroups:
        for rate in RATES:
            values = [getattr(each, rate) for each in subgroup.attributes.values()]
            assert subgroup.means[rate] == pytest.approx(np.mean(values))
    assert scores.subgroups[1].name == "old"
    found = scores.mean_gaps["accuracy"]
    assert (found.of, found.minus) == ("young", "old") or (found.of, found.minus) == ("mid", "old")
    assert 0 < found.low < found.value < found.high
    assert found.excludes_zero


def test_the_gap_of_two_subgroups_is_the_first_minus_the_second_with_a_sign(faces):
    probabilities, labels, subgroups = faces
    two = Subgroups("age", ("old", "young"), np.array([-1, -1, 0, 1])[subgroups.members + 1])
    scores = subgroup_scores(probabilities, labels, ATTRIBUTES, two, THRESHOLDS)
    old, young = (each.attributes["Smiling"] for each in scores.subgroups)
    found = scores.gaps["Smiling"]["accuracy"]
    assert (found.of, found.minus) == ("old", "young")
    assert found.value == pytest.approx(old.accuracy - young.accuracy)
    assert found.low < found.value < found.high < 0
    assert found.excludes_zero
    # As the normal interval of a difference of proportions.
    error = np.sqrt(sum(each.accuracy * (1 - each.accuracy) / each.known for each in (old, young)))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.15)


def test_scores_are_repeatable_and_computed_in_blocks(faces, scores, monkeypatch):
    probabilities, labels, subgroups = faces
    again = subgroup_scores(probabilities, labels, ATTRIBUTES, subgroups, THRESHOLDS)
    assert again == scores
    monkeypatch.setattr("keras_faramtn.evaluation.bootstrap._BLOCK", 300 * len(labels))
    blocks = []
    subgroup_scores(
        probabilities,
        labels,
        ATTRIBUTES,
        subgroups,
        progress=lambda steps: [blocks.append(step) or step for step in steps],
    )
    assert len(blocks) == 4


@pytest.mark.parametrize(
    ("counts", "true_rates", "repetitions"),
    [
        ((250, 400), (0.9, 0.75), 100),
        ((60, 400), (0.97, 0.97), 100),  # often all are found in the smaller subgroup
        ((150, 150, 300, 150), (0.8, 0.8, 0.8, 0.8), 100),
    ],
)
def test_intervals_cover_the_true_gap(counts, true_rates, repetitions):
    rng = np.random.default_rng(8)
    members = np.repeat(np.arange(len(counts)), counts)
    subgroups = Subgroups("g", tuple("abcd"[: len(counts)]), members)
    signed = true_rates[0] - true_rates[1]
    truth = signed if len(counts) == 2 else max(true_rates) - min(true_rates)
    covered = significant = 0
    for _ in range(repetitions):
        positive = rng.random(len(members)) < 0.4
        found = rng.random(len(members)) < np.where(positive, np.array(true_rates)[members], 0.1)
        scores = subgroup_scores(
            np.where(found, 0.8, 0.2)[:, np.newaxis],
            positive[:, np.newaxis].astype("int8"),
            ["x"],
            subgroups,
            resamples=200,
        )
        interval = scores.gaps["x"]["true_positive_rate"]
        covered += interval.low <= truth <= interval.high
        significant += interval.excludes_zero
    assert 0.88 * repetitions <= covered
    if truth == 0:
        assert significant <= 0.12 * repetitions
    else:
        assert significant >= 0.6 * repetitions


def test_chance_makes_no_gap_in_calibration_of_a_small_and_a_large_subgroup():
    rng = np.random.default_rng(1)
    probabilities = rng.beta(1, 2, (2100, 20))
    labels = (rng.random(probabilities.shape) < probabilities).astype("int8")
    subgroups = Subgroups("size", ("small", "large"), (np.arange(2100) >= 100).astype(int))
    names = [f"a{n}" for n in range(20)]
    scores = subgroup_scores(probabilities, labels, names, subgroups)
    small, large = scores.subgroups
    assert small.means["calibration_error"] > large.means["calibration_error"] + 0.04
    assert not any(each["calibration_error"].excludes_zero for each in scores.gaps.values())
    assert not scores.mean_gaps["calibration_error"].excludes_zero
    # A subgroup whose probabilities are much too high.
    high = probabilities.copy()
    high[:100] = 1 - 0.2 * rng.random((100, 20))
    scores = subgroup_scores(high, labels, names, subgroups)
    assert all(each["calibration_error"].low > 0.3 for each in scores.gaps.values())


def test_gaps_of_three_and_of_equal_subgroups():
    rng = np.random.default_rng(0)
    samples = np.array([[0.7], [0.5], [0.9]]) + rng.normal(0, 0.01, (3, 2000))
    found = gap("abc", np.array([0.7, 0.5, 0.9]), samples)
    assert (found.of, found.minus, found.value) == ("c", "b", pytest.approx(0.4))
    # 2.34: the 95 % quantile of the largest difference of three, Tukey's 3.31 / sqrt(2)
    margin = 3.31 / np.sqrt(2) * np.sqrt(2) * 0.01
    assert (found.low, found.high) == pytest.approx((0.4 - margin, 0.4 + margin), abs=0.003)
    equal = gap("abc", np.full(3, 0.5), np.full((3, 10), 0.5))
    assert (equal.value, equal.low, equal.high) == (0, 0, 0)
    assert not np.signbit([equal.low, equal.high]).any()  # printed as +0.0
    assert equal.of != equal.minus
    assert gap("a", np.array([0.5]), samples[:1]) is None
    assert gap("ab", np.array([0.5, 0.5]), np.full((2, 10), np.nan)) is None


def test_small_subgroups_are_shown_but_not_compared(faces):
    probabilities, labels, subgroups = faces
    members = subgroups.members.copy()
    alone = np.flatnonzero(members == 2)[0]
    members[members == 2] = -1
    members[alone] = 2
    scores = subgroup_scores(
        probabilities, labels, ATTRIBUTES, Subgroups("age", subgroups.names, members), THRESHOLDS
    )
    last = scores.subgroups[2]
    assert (last.images, last.small, [each.small for each in scores.subgroups[:2]]) == (
        1,
        True,
        [False, False],
    )
    for column, attribute in enumerate(ATTRIBUTES):
        rates = last.attributes[attribute]
        correct = (probabilities[alone] > THRESHOLDS)[column] == labels[alone, column]
        assert rates.accuracy == correct
        assert rates.balanced_accuracy is None
        assert (rates.true_positive_rate is None) == (labels[alone, column] == 0)
        assert rates.too_few == RATES
    for gaps in (scores.mean_gaps, *scores.gaps.values()):
        assert all((each.of, each.minus) == ("mid", "old") for each in gaps.values())
    assert "young (small)" in (table := subgroup_table(scores))
    assert "enough images in each" in table


def test_the_table_does_not_claim_enough_images_if_all_subgroups_are_small():
    members = np.arange(20) % 2
    scores = subgroup_scores(
        np.full((20, 1), 0.4), np.ones((20, 1), int), ["Hat"], Subgroups("age", ("a", "b"), members)
    )
    table = subgroup_table(scores)
    assert "enough images in each" not in table
    assert "for which they are defined" in table
    assert max(map(len, table.splitlines())) <= 80


def test_attributes_with_one_class_in_a_subgroup_are_not_in_means(faces):
    probabilities, labels, subgroups = faces
    labels = labels.copy()
    labels[(subgroups.members == 0) & (labels[:, 0] == 1), 0] = 0
    scores = subgroup_scores(probabilities, labels, ATTRIBUTES, subgroups, THRESHOLDS)
    mid = scores.subgroups[0].attributes["Smiling"]
    assert (mid.positives, mid.true_positive_rate, mid.balanced_accuracy) == (0, None, None)
    assert set(mid.too_few) == {"true_positive_rate", "balanced_accuracy", "calibration_error"}
    assert {scores.gaps["Smiling"]["true_positive_rate"].of} <= {"old", "young"}
    assert scores.attributes_in_means["true_positive_rate"] == 2
    assert scores.attributes_in_means["false_positive_rate"] == 3
    for subgroup in scores.subgroups:
        others = [subgroup.attributes[name].true_positive_rate for name in ATTRIBUTES[1:]]
        assert subgroup.means["true_positive_rate"] == pytest.approx(np.mean(others))


def test_predictions_of_other_images_or_that_are_no_probabilities_are_refused(faces):
    probabilities, labels, subgroups = faces
    with pytest.raises(InputError, match="899 images, but subgroups of 900"):
        subgroup_scores(probabilities[1:], labels[1:], ATTRIBUTES, subgroups)
    broken = np.where(np.arange(3) == 1, np.nan, probabilities)
    with pytest.raises(InputError, match="probability of Bald: nan"):
        subgroup_scores(broken, labels, ATTRIBUTES, subgroups)


def test_the_attribute_that_divides_the_images_is_excluded(faces):
    probabilities, labels, _ = faces
    table = _table({"age": ["x"] * len(labels)}, ATTRIBUTES, labels)
    subgroups = subgroups_of(table, "Bald")
    assert subgroups.names == ("yes", "no")
    scores = subgroup_scores(probabilities, labels, ATTRIBUTES, subgroups, THRESHOLDS)
    assert (scores.excluded, scores.attributes) == (("Bald",), ("Smiling", "Wearing_Hat"))
    assert scores.unknown == (labels[:, 1] < 0).sum()
    known = (labels[:, 1] == 1) & (labels[:, 2] >= 0)
    correct = (probabilities[known, 2] > 0.6) == labels[known, 2]
    assert scores.subgroups[0].attributes["Wearing_Hat"].accuracy == pytest.approx(correct.mean())
    assert "Bald itself is not scored." in subgroup_table(scores)
    only = subgroup_scores(probabilities[:, 1:2], labels[:, 1:2], ["Bald"], subgroups)
    assert only.attributes == ()
    assert set(only.mean_gaps.values()) == {None}
    _valid(only)
    assert subgroup_table(only).endswith("No other attribute is predicted.")


def test_subgroups_of_a_column_of_a_file_or_an_attribute_that_is_not_predicted(tmp_path):
    rows = [
        ["a.jpg", "test", "1", "1", "30-39"],
        ["b.jpg", "test", "0", "", "20-29"],
        ["c.jpg", "test", "0", "0", ""],
        ["d.jpg", "train", "0", "0", "90-99"],
    ]
    file = write_csv_table(tmp_path, ["image", "split", "Happy", "Male", "age"], rows)
    table = read_csv_table(file, ["Happy"]).split("test")
    for column, names, members in (
        ("age", ("20-29", "30-39"), [1, 0, -1]),
        ("Male", ("yes", "no"), [0, -1, 1]),
        ("Happy", ("yes", "no"), [0, 1, 1]),
    ):
        found = subgroups_of(table, column)
        assert (found.column, found.names, found.members.tolist()) == (column, names, members)
    with pytest.raises(
        InputError, match=r"attributes\.csv: there is no column 'gender' .* Happy, Male, age\.$"
    ):
        subgroups_of(table, "gender")


def test_an_attribute_of_celeba_that_the_model_does_not_predict(tmp_path):
    folder = write_celeba(
        tmp_path / "celeba", [[1, -1], [-1, 1], [1, 0]], [2] * 3, names=["Smiling", "Male"]
    )
    found = subgroups_of(read_dataset(folder, ["Smiling"]), "Male")
    assert (found.names, found.members.tolist()) == (("yes", "no"), [1, 0, -1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["", "", ""], "age is unknown in all 3 images of the split; fill in the column"),
        ([str(n) for n in range(1000)], "age has 1,000 different values, such as 0, 1, 10; .* 20"),
        (["a\nb", "c", "c"], r"age has the value 'a\\nb'; .* without line breaks"),
    ],
)
def test_columns_that_cannot_be_used(values, message):
    with pytest.raises(InputError, match=message):
        subgroups_of(_table({"age": values}), "age")


def test_a_column_with_one_value_has_no_gaps(faces):
    probabilities, labels, _ = faces
    subgroups = subgroups_of(_table({"age": ["old"] * len(labels)}), "age")
    scores = subgroup_scores(probabilities, labels, ATTRIBUTES, subgroups, THRESHOLDS)
    assert set(scores.mean_gaps.values()) == {None}
    assert "No two subgroups have enough images" in subgroup_table(scores)
    _valid(scores)


def test_subgroups_of_other_images_are_refused(faces):
    probabilities, labels, subgroups = faces
    with pytest.raises(InputError, match="there are 4 images, but subgroups of 900"):
        subgroup_scores(probabilities[:4], labels[:4], ATTRIBUTES, subgroups)


def _valid(scores):
    schema = metrics_schema()
    content = subgroups_content([scores])
    jsonschema.Draft202012Validator(
        {"$defs": schema["$defs"], **schema["properties"]["subgroups"]}
    ).validate(json.loads(json.dumps(content, allow_nan=False)))
    return content


def test_the_content_of_metrics_json(scores):
    content = _valid(scores)["age"]
    old = content["subgroups"]["old"]["attributes"]["Bald"]
    assert old["accuracy"] == round(scores.subgroups[1].attributes["Bald"].accuracy, 6)
    assert content["gaps"]["Bald"]["accuracy"]["low"] == round(
        scores.gaps["Bald"]["accuracy"].low, 6
    )
    broken = {"age": {**content, "unknown": -1}}
    schema = metrics_schema()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, {"$defs": schema["$defs"], **schema["properties"]["subgroups"]})


def test_the_table_shows_percent_and_the_largest_gaps_in_80_columns(faces, scores):
    text = subgroup_table(scores)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    old = scores.subgroups[1]
    [row] = [line.split() for line in lines if line.startswith("old ")]
    assert row[1:4] == [
        f"{old.images}",
        f"{100 * old.means['accuracy']:.1f}",
        f"{100 * old.means['balanced_accuracy']:.1f}",
    ]
    assert "Subgroups by age: 900 images, " in lines[0]
    clear = [each for gaps in scores.gaps.values() for each in gaps.values() if each.excludes_zero]
    assert f"{len(clear)} of 12 gaps" in text
    last = [line.split() for line in lines[-len(clear) :]]
    sizes = [float(next(cell for cell in row if cell[0] in "+-")) for row in last]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(100 * max(each.value for each in clear), abs=0.051)


@pytest.fixture
def evaluate_csv(tmp_path, monkeypatch, caplog):
    """Evaluates a model that predicts "Red" from an image's colour, by columns of a CSV file."""
    caplog.set_level(logging.INFO)
    rng = np.random.default_rng(5)
    rows = [
        [f"{n}.png", "test", *map(str, rng.integers(0, 2, 2)), ["x", "y", ""][n % 3]]
        for n in range(20)
    ]
    file = write_csv_table(tmp_path / "data", ["image", "split", "Male", "Red", "site"], rows)
    predictor = Predictor(
        ModelRecord(single_group(["Red"])),
        (40, 52),
        lambda images: images[:, 5, 5, :1] / np.float32(255),
        batch_size=8,
    )
    monkeypatch.setattr(evaluate, "load_predictor", lambda _: predictor)

    def run(*by):
        evaluate.evaluate_file("model.tflite", file, "test", tmp_path / "scores", by=by)
        return json.loads((tmp_path / "scores" / "metrics.json").read_text()), caplog.text

    return run


def test_evaluation_by_columns_that_the_model_does_not_predict(evaluate_csv):
    content, log = evaluate_csv("site", "Male", "site", "Red")
    jsonschema.validate(content, metrics_schema())
    assert list(content["subgroups"]) == ["site", "Male", "Red"]
    by_site = content["subgroups"]["site"]
    assert by_site["unknown"] == 6
    assert {name: each["images"] for name, each in by_site["subgroups"].items()} == {"x": 7, "y": 7}
    assert list(by_site["subgroups"]["x"]["attributes"]) == ["Red"]
    assert content["subgroups"]["Red"]["excluded"] == ["Red"]
    assert "Subgroups by Male: 20 images" in log


def test_evaluation_without_subgroups_and_by_an_unknown_column(evaluate_csv, tmp_path):
    with pytest.raises(InputError, match=r"there is no column 'age' .* one of Red, Male, site"):
        evaluate_csv("age")
    assert not (tmp_path / "scores").exists()
    content, log = evaluate_csv()
    assert "subgroups" not in content
    assert "Subgroups" not in log


def test_long_names_stay_in_80_columns(faces):
    probabilities, labels, subgroups = faces
    names = tuple(f"a very long name of a subgroup {n}" for n in range(3))
    scores = subgroup_scores(
        probabilities,
        labels,
        ["Wearing_Necklace", "5_o_Clock_Shadow", "Mouth_Slightly_Open"],
        Subgroups("a long name", names, subgroups.members),
    )
    assert max(map(len, subgroup_table(scores).splitlines())) <= 80
