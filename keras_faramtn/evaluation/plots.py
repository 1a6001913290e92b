"""Figures of a training run and of a network's predictions, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.style import (
    BLUE,
    DPI,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    STYLE,
    save_figure,
)

_PANELS = (
    ("Loss", "loss"),
    ("Mean accuracy", "accuracy"),
    ("Mean balanced accuracy", "balanced_accuracy"),
)
_WEIGHT = "dws_"

# mark, colour, meaning in the legend
_CORRECT = ("✓", BLUE, "predicted, correct")
_WRONG = ("✗", ORANGE, "predicted, wrong")
_MISSED = ("○", PURPLE, "present, missed")
_UNKNOWN = ("?", GREY, "predicted, label unknown")


def training_curve(history: Mapping[str, Sequence[float]], path: str | Path) -> Figure:
    """Draws loss, accuracy and balanced accuracy by epoch, and the weights of DWS by group.

    Args:
        history: Keras's `History.history`: lists with one number per epoch. `loss`, `accuracy`
            and `balanced_accuracy`, each with its `val_` counterpart, and every `dws_{group}` are
            drawn if present; other keys are ignored.
        path: the PNG file; an older one is replaced.

    Returns:
        The figure: one axes for each of the three scores that exists, then one per group.

    Raises:
        InputError: if there is no `loss`, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> history = {"loss": [0.7, 0.5], "val_loss": [0.7, 0.6]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     figure = training_curve(history, f"{folder}/training_curve.png")
        >>> len(figure.axes)
        1
    """
    if not len(history.get("loss", ())):
        raise InputError("the training history has no `loss`; train for at least one epoch.")
    panels = [(title, key) for title, key in _PANELS if key in history or f"val_{key}" in history]
    weights = {
        key.removeprefix(_WEIGHT): history[key] for key in history if key.startswith(_WEIGHT)
    }
    columns = 4
    rows = -(-len(weights) // columns)
    heights = (3.4, 0.5 + 1.6 * rows) if rows else (3.4,)  # inches
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, sum(heights)), dpi=DPI, layout=layout)
        subfigures = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        axes = subfigures[0].subplots(1, len(panels), squeeze=False)[0]
        for column, (ax, (title, key)) in enumerate(zip(axes, panels, strict=True)):
            _draw_score(ax, title, history.get(key, ()), history.get(f"val_{key}", ()))
            if key != "loss":
                ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
            if column == 0:
                ax.legend(frameon=False, fontsize=9)
        if weights:
            _draw_weights(subfigures[1], weights, rows, columns)
        save_figure(figure, path)
    return figure


def contact_sheet(
    images: np.ndarray,
    probabilities: np.ndarray,
    labels: np.ndarray | None,
    attributes: Sequence[str],
    path: str | Path,
    thresholds: float | Sequence[float] | np.ndarray = DEFAULT_THRESHOLD,
    columns: int = 3,
) -> Figure:
    """Draws faces, each with its predicted attributes and their probabilities.

    With labels, each attribute is marked as correct, wrong or missed, and the heading counts the
    correct predictions, including those of absent attributes.

    Args:
        images: `(n, height, width, 3)` uint8, RGB.
        probabilities: `(n, k)` in 0..1, columns in the order of `attributes`.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown; None if there are no labels.
        attributes: the k names.
        path: the PNG file; an older one is replaced.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or k.
        columns: faces per row.

    Returns:
        The figure: one axes per face, in order.

    Raises:
        InputError: if there is no face, the shapes do not match, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> faces, probabilities = np.zeros((2, 32, 32, 3), "uint8"), np.array([[0.9], [0.2]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/contact_sheet.png"
        ...     figure = contact_sheet(faces, probabilities, None, ["Smiling"], path)
        >>> len(figure.axes)
        2
    """
    images, probabilities = np.asarray(images), np.asarray(probabilities)
    expected = (len(images), len(attributes))
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or not len(images):
        raise InputError(
            f"the faces are a {images.dtype} array of shape {images.shape}; pass at least one face "
            "as uint8 (n, height, width, 3)."
        )
    if probabilities.shape != expected or (labels is not None and np.shape(labels) != expected):
        raise InputError(
            f"the probabilities have shape {probabilities.shape} and the labels "
            f"{None if labels is None else np.shape(labels)}; both must be {expected}: "
            f"{expected[0]} faces and {expected[1]} attributes."
        )
    notes = [
        _notes(probabilities[i], None if labels is None else labels[i], attributes, thresholds)
        for i in range(len(images))
    ]
    with matplotlib.rc_context(STYLE):
        figure = _draw_faces(images, notes, labels is not None, min(columns, len(images)))
        save_figure(figure, path)
    return figure


def _draw_score(
    ax: Axes, title: str, training: Sequence[float], validation: Sequence[float]
) -> None:
    # With few epochs a line alone would hide the epochs, or not be visible at all.
    marker: dict[str, Any] = (
        {"marker": "o", "markersize": 4} if max(len(training), len(validation)) < 25 else {}
    )
    if len(training):
        ax.plot(_epochs(training), training, color=BLUE, label="training", **marker)
    if len(validation):
        line: dict[str, Any] = {"color": ORANGE, "linestyle": "--", "label": "validation", **marker}
        ax.plot(_epochs(validation), validation, **line)
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel("epoch", fontsize=9)
    _tidy(ax)


def _draw_weights(
    figure: Figure, weights: Mapping[str, Sequence[float]], rows: int, columns: int
) -> None:
    title = "Weight of each group's loss (the other groups in grey)"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, group in zip(axes, weights, strict=False):
        for other in weights:
            if other != group:
                ax.plot(_epochs(weights[other]), weights[other], color=PALE, linewidth=0.8)
        marker = "o" if len(weights[group]) == 1 else None
        ax.plot(_epochs(weights[group]), weights[group], color=BLUE, marker=marker)
        ax.set_title(group.replace("_", " "), loc="left", fontsize=9, parse_math=False)
        _tidy(ax)
    for ax in axes[len(weights) :]:
        ax.remove()
    for ax in axes[max(0, len(weights) - columns) : len(weights)]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("epoch", fontsize=9)


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor=INK, labelsize=8)
    ax.margins(y=0.1)
    ax.grid(axis="y", color=PALE, linewidth=0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))


def _notes(
    probabilities: np.ndarray,
    labels: np.ndarray | None,
    attributes: Sequence[str],
    thresholds: float | Sequence[float] | np.ndarray,
) -> tuple[str, list[tuple[str, str, str, str]]]:
    """The heading of a face, and its lines: mark, colour, name and probability."""
    predicted = probabilities > np.asarray(thresholds)
    if labels is None:
        kinds = [(("•", BLUE, ""), predicted)]
        heading = f"{predicted.sum()} of {len(attributes)} predicted"
    else:
        labels = np.asarray(labels)
        kinds = [
            (_CORRECT, predicted & (labels == 1)),
            (_WRONG, predicted & (labels == 0)),
            (_UNKNOWN, predicted & (labels < 0)),
            (_MISSED, ~predicted & (labels == 1)),
        ]
        known = labels >= 0
        correct = known & (predicted == (labels == 1))
        heading = f"{correct.sum()} of {known.sum()} labels correct"
    lines = [
        (
            mark,
            colour,
            attributes[int(column)].replace("_", " "),
            f"{100 * probabilities[column]:.0f}%",
        )
        for (mark, colour, _), selected in kinds
        for column in np.flatnonzero(selected)
    ]
    return heading, lines


def _draw_faces(
    images: np.ndarray,
    notes: list[tuple[str, list[tuple[str, str, str, str]]]],
    labelled: bool,
    columns: int,
) -> Figure:
    # All lengths are in inches, measured from the top left corner.
    margin, gap, head, line = 0.3, 0.35, 0.75 if labelled else 0.45, 0.165
    longest = max((_inches(name, 8) for _, lines in notes for _, _, name, _ in lines), default=0)
    image_width, text_width = 1.5, max(1.6, 0.16 + longest + 0.5)
    image_height = image_width * images.shape[1] / images.shape[2]
    tile_width = image_width + 0.12 + text_width
    count = len(images)
    rows = [range(first, min(first + columns, count)) for first in range(0, count, columns)]
    heights = [max(image_height, line * (1.3 + max(len(notes[i][1]) for i in row))) for row in rows]
    width = max(2 * margin + columns * tile_width + (columns - 1) * gap, 7.2 if labelled else 3.6)
    height = 2 * margin + head + sum(heights) + gap * (len(rows) - 1)
    figure = Figure(figsize=(width, height), dpi=DPI)

    def write(x: float, y: float, text: str, size: float = 8, **style: Any) -> None:
        defaults: dict[str, Any] = {"va": "top", "parse_math": False, "fontsize": size}
        figure.text(x / width, 1 - y / height, text, **(defaults | style))

    write(margin, margin, "Predicted attributes", 13)
    x = margin
    used = {mark for _, lines in notes for mark, *_ in lines}
    legend = (_CORRECT, _WRONG, _MISSED) + ((_UNKNOWN,) if _UNKNOWN[0] in used else ())
    for mark, colour, meaning in legend if labelled else ():
        write(x, margin + 0.32, mark, 9, color=colour, fontweight="bold")
        write(x + 0.17, margin + 0.32, meaning, 9, color=GREY)
        x += 0.17 + _inches(meaning, 9) + 0.35
    top = margin + head
    face_size = (image_width / width, image_height / height)
    for row, row_height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            x = margin + column * (tile_width + gap)
            ax = figure.add_axes((x / width, 1 - (top + image_height) / height, *face_size))
            ax.imshow(images[i], interpolation="bilinear", aspect="auto")
            ax.set_axis_off()
            x += image_width + 0.12
            heading, lines = notes[i]
            write(x, top, heading, 8.5, fontweight="bold")
            for number, (mark, colour, name, percent) in enumerate(lines):
                y = top + line * (number + 1.3)
                write(x, y, mark, color=colour, fontweight="bold")
                write(x + 0.16, y, name, color=colour)
                write(x + text_width, y, percent, 7.5, color=GREY, ha="right")
        top += row_height + gap
    return figure


def _inches(text: str, size: float) -> float:
    """The width of `text` at `size` points."""
    font = FontProperties(family=STYLE["font.family"], size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
