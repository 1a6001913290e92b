"""The figure of a calibration: reliability, and each attribute's calibration error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from keras_faramtn.evaluation.calibration_error import reliability_curve
from keras_faramtn.evaluation.style import BLUE, DPI, GREY, INK, ORANGE, PALE, STYLE, save_figure

_STYLES: dict[str, dict[str, Any]] = {
    "before": {"color": ORANGE, "marker": "o", "markerfacecolor": "white"},
    "after": {"color": BLUE, "marker": "o"},
}


def calibration_figure(
    probabilities: Mapping[str, np.ndarray],
    labels: np.ndarray,
    errors: Mapping[str, np.ndarray],
    attributes: Sequence[str],
    path: str | Path,
    images: str,
) -> Figure:
    """Draws probabilities against frequencies, and the calibration error of each attribute.

    Args:
        probabilities: of n images `before` and `after` the calibration, `(n, k)` each.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        errors: the calibration errors `before` and `after`, `(k,)` each, NaN where not defined.
        attributes: the k names.
        path: the PNG file; an older one is replaced.
        images: a description of the images.

    Returns:
        The figure. Its axes: reliability, number of predictions, calibration errors.

    Raises:
        InputError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> before, labels = np.array([[0.9], [0.9], [0.2]]), np.array([[1], [0], [0]])
        >>> errors = {"before": np.array([0.33]), "after": np.array([0.1])}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     figure = calibration_figure(
        ...         {"before": before, "after": before / 2}, labels, errors, ["Smiling"],
        ...         f"{folder}/calibration.png", "3 images"
        ...     )
        >>> len(figure.axes)
        3
    """
    height = max(4.6, 1.1 + 0.17 * len(attributes))  # inches
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, height), dpi=DPI, layout=layout)
        figure.suptitle(
            f"Before and after the calibration, on {images}", x=0.012, ha="left", fontsize=10
        )
        left, right = figure.subfigures(1, 2, squeeze=False)[0]
        for part, title in (
            (left, "Reliability, all attributes together"),
            (right, "Expected calibration error of each attribute"),
        ):
            part.suptitle(title, x=0.03, ha="left", fontsize=9.5)
        curve, counts = left.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_reliability(curve, counts, probabilities, labels)
        _draw_errors(right.subplots(), errors, attributes)
        save_figure(figure, path)
    return figure


def _draw_reliability(
    curve: Axes, counts: Axes, probabilities: Mapping[str, np.ndarray], labels: np.ndarray
) -> None:
    known = labels >= 0
    positive = labels[known] > 0
    curve.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, zorder=1, label="calibrated")
    for name, style in _STYLES.items():
        predicted, fractions, numbers = reliability_curve(probabilities[name][known], positive)
        curve.plot(predicted, fractions, linewidth=1.4, markersize=4.5, label=name, **style)
        counts.plot(predicted, numbers, linewidth=1.2, markersize=3.5, **style)
    curve.set_ylabel("fraction of faces that have it", fontsize=8.5)
    curve.legend(frameon=False, fontsize=8.5, loc="upper left")
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    counts.set_yscale("log")
    counts.set_ylabel("predictions", fontsize=8.5)
    counts.set_xlabel("predicted probability", fontsize=8.5)
    counts.xaxis.set_major_formatter(PercentFormatter(1))
    for ax in (curve, counts):
        _tidy(ax)


def _draw_errors(ax: Axes, errors: Mapping[str, np.ndarray], attributes: Sequence[str]) -> None:
    order = np.argsort(-np.nan_to_num(errors["before"], nan=-1), kind="stable")
    rows = np.arange(len(attributes))
    before, after = (errors[name][order] for name in _STYLES)
    ax.hlines(rows, before, after, color=PALE, linewidth=1.6, zorder=1)
    for name, values in (("before", before), ("after", after)):
        ax.plot(values, rows, linestyle="", markersize=4.5, label=name, **_STYLES[name])
    names = [attributes[index].replace("_", " ") for index in order]
    ax.set_yticks(rows, names, fontsize=7.5, parse_math=False)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, 1.05 * max([*before, *after, 0.01], key=np.nan_to_num))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    _tidy(ax)


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor=INK, labelsize=8)
    ax.grid(color=PALE, linewidth=0.4)
    ax.set_axisbelow(True)
