import sys

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.plots import DPI, contact_sheet, training_curve

NAMES = ("Big_Nose", "Smiling", "Young", "Wearing_$5_Hat")


def _read_png(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def _texts(figure):
    return [text.get_text() for text in figure.texts]


def _assert_size(pixels, figure):
    width, height = figure.get_size_inches() * DPI
    assert abs(pixels.shape[1] - width) <= 1
    assert abs(pixels.shape[0] - height) <= 1


def _assert_texts_inside(figure):
    box = figure.bbox
    for text in figure.texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0
        assert extent.y0 >= 0
        assert extent.x1 <= box.x1, text.get_text()
        assert extent.y1 <= box.y1, text.get_text()


def test_the_curve_has_one_panel_per_score_and_per_group(tmp_path):
    history = {
        "loss": [0.7, 0.5, 0.4],
        "val_loss": [0.8, 0.6, 0.55],
        "accuracy": [0.6, 0.7, 0.8],
        "val_accuracy": [0.5, 0.6, 0.7],
        "balanced_accuracy": [0.5, 0.55, 0.6],
        "val_balanced_accuracy": [0.5, 0.52, 0.54],
        "mouth_loss": [1, 2, 3],
        **{f"dws_{group}": [1.0, 1.0 + k / 10, 1.2] for k, group in enumerate("abcde")},
    }
    path = tmp_path / "run" / "curve.png"
    figure = training_curve(history, path)
    pixels = _read_png(path)
    _assert_size(pixels, figure)
    assert pixels.std() > 5  # not blank
    scores, weights = figure.axes[:3], figure.axes[3:]
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["Loss", "Mean accuracy", "Mean balanced accuracy", *"abcde"]
    for ax, key in zip(scores, ("loss", "accuracy", "balanced_accuracy"), strict=True):
        training, validation = ax.lines
        assert list(training.get_xdata()) == [1, 2, 3]
        assert list(training.get_ydata()) == history[key]
        assert list(validation.get_ydata()) == history[f"val_{key}"]
        assert training.get_linestyle() != validation.get_linestyle()
    for ax, group in zip(weights, "abcde", strict=True):
        assert len(ax.lines) == 5
        assert list(ax.lines[-1].get_ydata()) == history[f"dws_{group}"]
        assert ax.get_ylim() == weights[0].get_ylim()


def test_a_curve_of_one_epoch_without_validation_or_groups(tmp_path):
    figure = training_curve({"loss": [0.7], "accuracy": [0.6]}, tmp_path / "curve.png")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Loss", "Mean accuracy"]
    assert [len(ax.lines) for ax in figure.axes] == [1, 1]
    assert figure.axes[0].lines[0].get_marker() == "o"
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [1]


def test_a_history_without_an_epoch_is_refused(tmp_path):
    for history in ({}, {"loss": []}, {"accuracy": [0.5]}):
        with pytest.raises(InputError, match="no `loss`"):
            training_curve(history, tmp_path / "curve.png")
    assert not list(tmp_path.iterdir())


def test_predictions_are_marked_correct_wrong_missed_and_unknown(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 20, 14, 3), dtype="uint8")
    probabilities = np.array([[0.9, 0.8, 0.1, 0.2], [0.6, 0.95, 0.3, 0.1]])
    labels = np.array([[1, 0, 1, 0], [-1, 1, 0, 0]])
    path = tmp_path / "faces.png"
    figure = contact_sheet(images, probabilities, labels, NAMES, path)
    _assert_size(_read_png(path), figure)
    _assert_texts_inside(figure)
    texts = _texts(figure)
    start = texts.index("2 of 4 labels correct")
    assert texts[start + 1 : start + 10] == [
        *("✓", "Big Nose", "90%"),
        *("✗", "Smiling", "80%"),
        *("○", "Young", "10%"),
    ]
    start = texts.index("3 of 3 labels correct")
    assert texts[start + 1 :] == ["✓", "Smiling", "95%", "?", "Big Nose", "60%"]
    assert "predicted, label unknown" in texts
    assert len(figure.axes) == 2
    for ax, image in zip(figure.axes, images, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    # Correct, wrong and missed differ in colour as well as in the mark.
    assert len({text.get_color() for text in figure.texts if text.get_text() in "✓✗○"}) == 3


def test_images_keep_their_aspect_ratio_and_order(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 255]], "uint8")
    images = np.broadcast_to(colours[:, None, None], (4, 30, 20, 3))
    path = tmp_path / "faces.png"
    contact_sheet(images, np.full((4, 4), 0.9), None, NAMES, path, columns=3)
    pixels = _read_png(path).astype(int)
    corners = []
    for colour in colours:
        rows, columns = np.nonzero((abs(pixels - colour) < 8).all(axis=-1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height / width == pytest.approx(1.5, rel=0.02)
        corners.append((rows.min(), columns.min()))
    assert corners[0][0] == corners[1][0] == corners[2][0] < corners[3][0]
    assert corners[0][1] == corners[3][1] < corners[1][1] < corners[2][1]


def test_without_labels_nothing_is_marked_correct_or_wrong(tmp_path):
    images = np.zeros((1, 8, 8, 3), "uint8")
    figure = contact_sheet(
        images, np.array([[0.9, 0.2, 0.6, 0.7]]), None, NAMES, tmp_path / "f.png"
    )
    texts = _texts(figure)
    assert "3 of 4 predicted" in texts
    assert not {"✓", "✗", "○"} & set(texts)
    assert "Wearing $5 Hat" in texts
    _assert_texts_inside(figure)


def test_thresholds_are_per_attribute_and_a_face_may_have_no_attribute(tmp_path):
    images = np.zeros((2, 8, 8, 3), "uint8")
    probabilities = np.array([[0.4, 0.4, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    path = tmp_path / "f.png"
    figure = contact_sheet(
        images, probabilities, None, NAMES, path, thresholds=[0.3, 0.5, 0.4, 0.2]
    )
    texts = _texts(figure)
    assert "2 of 4 predicted" in texts
    assert "0 of 4 predicted" in texts
    assert {"Big Nose", "Wearing $5 Hat"} <= set(texts)
    assert not {"Smiling", "Young"} & set(texts)


def test_long_lists_and_long_names_stay_on_the_sheet(tmp_path):
    names = [f"A_rather_long_name_of_an_attribute_{number}" for number in range(40)]
    images = np.zeros((4, 8, 8, 3), "uint8")
    probabilities = np.full((4, 40), 0.99)
    figure = contact_sheet(images, probabilities, np.ones((4, 40)), names, tmp_path / "f.png")
    _assert_texts_inside(figure)
    names_drawn = [text for text in figure.texts if text.get_text().startswith("A rather")]
    percents = [text for text in figure.texts if text.get_text() == "99%"]
    assert len(names_drawn) == len(percents) == 160
    for name, percent in zip(names_drawn, percents, strict=True):
        assert name.get_window_extent().x1 < percent.get_window_extent().x0


@pytest.mark.parametrize(
    ("images", "probabilities", "labels", "message"),
    [
        (np.zeros((0, 8, 8, 3), "uint8"), np.zeros((0, 4)), None, "at least one"),
        (np.zeros((2, 8, 8, 3)), np.zeros((2, 4)), None, "float64"),
        (np.zeros((2, 8, 8), "uint8"), np.zeros((2, 4)), None, r"\(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 3), "uint8"), np.zeros((3, 4)), None, r"\(3, 4\)"),
        (np.zeros((2, 8, 8, 3), "uint8"), np.zeros((2, 4)), np.zeros((2, 3)), r"\(2, 3\)"),
    ],
)
def test_mismatched_shapes_are_refused(tmp_path, images, probabilities, labels, message):
    with pytest.raises(InputError, match=message):
        contact_sheet(images, probabilities, labels, NAMES, tmp_path / "f.png")
    assert not list(tmp_path.iterdir())


def test_the_callers_plots_are_not_changed(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    training_curve({"loss": [1.0, 0.5]}, tmp_path / "curve.png")
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
