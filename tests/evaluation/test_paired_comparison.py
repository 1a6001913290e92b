import json

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.evaluation.comparison_markdown import comparison_markdown
from keras_faramtn.evaluation.comparison_plot import comparison_figure
from keras_faramtn.evaluation.paired_comparison import excludes_zero, paired_comparison
from keras_faramtn.evaluation.scores import score

NAMES = ("hat", "smile", "beard")


def _comparison(seeds=3, images=400):
    """Three networks: the second equals the first, the third is better."""
    rng = np.random.default_rng(0)
    labels = (rng.random((images, 3)) < (0.1, 0.5, 0.3)).astype("int8")
    labels[::9, 1] = -1
    noise = rng.normal(0, 0.2, (seeds, images, 3))
    plain = np.clip(0.4 + 0.2 * labels + noise, 0, 1)
    better = np.clip(0.35 + 0.3 * labels + noise, 0, 1)
    probabilities = {"plain": plain, "a_copy": plain.copy(), "FARAMTN": better}
    return (
        paired_comparison(probabilities, labels, NAMES, ["plain", "FARAMTN"]),
        probabilities,
        labels,
    )


def _with_metadata(content, seeds=(0, 1, 2)):
    costs = {"parameters": 1_234_567, "train_step_ms": 98.7}
    networks = {name: costs | each for name, each in content["networks"].items()}
    about = {
        "data": "synthetic",
        "split": "validation",
        "seeds": list(seeds),
        "machine": {"processor": "A Processor", "cores": 2, "gpus": ["A Card"]},
        "versions": {"keras": "3.15.1"},
        "command": "faramtn compare mine.yaml --data synthetic",
    }
    return content | about | {"networks": networks}


@pytest.fixture(scope="module")
def compared():
    return _comparison()


def test_scores_equal_those_of_an_evaluation_by_seed(compared):
    content, probabilities, labels = compared
    for name, by_seed in probabilities.items():
        expected = [score(each, labels, NAMES) for each in by_seed]
        for key, found in content["networks"][name].items():
            values = [getattr(each.mean, key) for each in expected]
            assert found["by_seed"] == pytest.approx(values, abs=1e-6)
            assert found["mean"] == pytest.approx(np.mean(values), abs=1e-6)
            assert found["spread"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert content["images"] == 400
    assert content["majority_accuracy"] == pytest.approx(expected[0].mean.majority_accuracy, 1e-5)


def test_differences_are_paired_and_change_sign_with_direction(compared):
    content, _, _ = compared
    same = content["differences"]["plain"]["a_copy"]
    better = content["differences"]["plain"]["FARAMTN"]
    worse = content["differences"]["FARAMTN"]["plain"]
    for key, each in better.items():
        assert same[key]["low"] == same[key]["high"] == same[key]["mean"] == 0
        assert not excludes_zero(same[key])
        values = [
            first - second
            for first, second in zip(
                content["networks"]["FARAMTN"][key]["by_seed"],
                content["networks"]["plain"][key]["by_seed"],
                strict=True,
            )
        ]
        assert each["by_seed"] == pytest.approx(values, abs=2e-6)
        assert 0 < each["low"] < each["mean"] < each["high"]
        assert excludes_zero(each)
        assert excludes_zero(worse[key])
        assert (worse[key]["low"], worse[key]["high"]) == (-each["high"], -each["low"])
    assert list(content["differences"]["FARAMTN"]) == ["plain", "a_copy"]


def test_the_interval_covers_images_and_seeds():
    """Constant differences by image, so that the chance is known for each of the two sources."""
    labels = np.tile([[0], [1]], (200, 1))
    right, wrong = np.where(labels == 1, 0.9, 0.1), np.where(labels == 1, 0.1, 0.9)

    def by_seed(*wrong_images):
        """Networks that are wrong for so many images, the first of each class."""
        each = [np.where(np.arange(400)[:, None] < n, wrong, right) for n in wrong_images]
        return np.stack(each)

    networks = {"plain": by_seed(80, 80, 80), "stable": by_seed(40, 40, 40)}
    networks["varying"] = by_seed(0, 40, 80)
    content = paired_comparison(networks, labels, ["Smiling"], ["plain"])
    assert content["interval_over"] == "images and seeds"
    stable, varying = (content["differences"]["plain"][each] for each in ("stable", "varying"))
    # Better for a tenth of the images: a binomial standard error, and no chance in the seeds.
    error = np.sqrt(0.1 * 0.9 / 400)
    assert stable["accuracy"]["mean"] == 0.1
    assert stable["accuracy"]["low"] == pytest.approx(0.1 - 1.966 * error, abs=0.002)
    # The seeds' differences are 0.2, 0.1 and 0.
    assert varying["accuracy"]["by_seed"] == [0.2, 0.1, 0]
    assert varying["accuracy"]["low"] < 0.1 - 4.3 * 0.1 / np.sqrt(3) * 0.9 < 0
    assert excludes_zero(stable["accuracy"])
    assert not excludes_zero(varying["accuracy"])

    one = {name: each[:1] for name, each in networks.items()}
    content = paired_comparison(one, labels, ["Smiling"], ["plain"])
    assert content["interval_over"] == "images"
    accuracy = content["differences"]["plain"]["varying"]["accuracy"]
    error = np.sqrt(0.2 * 0.8 / 400)
    assert accuracy["low"] == pytest.approx(0.2 - 1.96 * error, abs=0.006)
    assert accuracy["high"] == pytest.approx(0.2 + 1.96 * error, abs=0.006)


def test_each_attribute_is_reported(compared):
    content, probabilities, labels = compared
    hat = content["attributes"]["hat"]
    assert hat["positive_rate"] == pytest.approx((labels[:, 0] == 1).mean(), abs=1e-6)
    correct = (probabilities["FARAMTN"][:, :, 0] > 0.5) == (labels[:, 0] == 1)
    assert hat["accuracy"]["FARAMTN"] == pytest.approx(correct.mean(), abs=1e-6)
    assert list(content["attributes"]) == list(NAMES)


def test_undefined_scores_are_null_in_json_and_marked_in_table_and_figure(tmp_path):
    labels = np.zeros((5, 3), "int8")
    probabilities = {name: np.full((1, 5, 3), 0.3) for name in ("plain", "FARAMTN")}
    content = _with_metadata(paired_comparison(probabilities, labels, NAMES, ["plain"]), seeds=[7])
    found = json.loads(json.dumps(content, allow_nan=False))
    difference = found["differences"]["plain"]["FARAMTN"]
    assert difference["balanced_accuracy"] == {
        "mean": None,
        "low": None,
        "high": None,
        "spread": None,
        "by_seed": [None],
    }
    assert difference["accuracy"]["mean"] == 0
    assert found["interval_over"] == "images"
    text = comparison_markdown(found)
    assert "mean of 1 seed." in text
    assert "over 1,000 resamples of the images, and does not include the variation between" in text
    assert "±" not in text
    figure = comparison_figure(found, tmp_path / "comparison.png")
    assert "not defined" in figure.axes[1].texts[0].get_text()
    assert "95 % interval over images.  " in figure.get_suptitle()


def test_the_table_has_scores_differences_and_metadata(compared):
    content = _with_metadata(compared[0])
    text = comparison_markdown(content)
    lines = text.splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 5 + 4 + 4  # header, rule and one row per network
    assert all(line.endswith("|") for line in tables)
    better = content["differences"]["plain"]["FARAMTN"]["accuracy"]
    cell = f"{100 * better['mean']:+.2f} [{100 * better['low']:+.2f}, {100 * better['high']:+.2f}]*"
    assert cell in text
    assert "+0.00 [+0.00, +0.00]  ± 0.00" in text
    balanced = content["networks"]["FARAMTN"]["balanced_accuracy"]
    assert f"{100 * balanced['mean']:.2f} ± {100 * balanced['spread']:.2f}" in text
    for expected in (
        "400 images (validation split of synthetic)",
        "1.23 M",
        "99 ms",
        "in percentage points ± standard deviation over the seeds, with the 95 % interval over "
        "images and seeds;",
        "variation between images (1,000 resamples) and that between seeds",
        "Seeds 0, 1, 2. 2 cores of A Processor, A Card. keras 3.15.1.",
        "`faramtn compare mine.yaml --data synthetic`",
    ):
        assert expected in text


def test_the_figure_shows_each_difference_with_its_interval_and_the_costs(compared, tmp_path):
    content = _with_metadata(compared[0])
    path = tmp_path / "comparison.png"
    figure = comparison_figure(content, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("RGB")).std() > 5
    assert len(figure.axes) == 2 * 3 + 2
    assert "95 % interval over images and seeds.  " in figure.get_suptitle()
    first = figure.axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["plain", "a copy", "FARAMTN"]
    better = content["differences"]["plain"]["FARAMTN"]["accuracy"]
    bar, seeds, mean = first.lines[-3:]
    assert list(bar.get_xdata()) == [100 * better["low"], 100 * better["high"]]
    assert list(bar.get_ydata()) == [2, 2]
    assert list(seeds.get_xdata()) == [100 * value for value in better["by_seed"]]
    assert list(mean.get_xdata()) == [100 * better["mean"]]
    not_significant = first.lines[-4]
    assert not_significant.get_markerfacecolor() == "white"
    assert mean.get_markerfacecolor() == mean.get_color()
    lengths = [bar.get_width() for bar in figure.axes[-2].patches]
    assert lengths == [1_234_567] * 3
