"""Figures of the course of a training run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from keras_faramtn.evaluation.style import BLUE, GREY, INK, ORANGE, PALE
from keras_faramtn.report.svg import SVG_STYLE, to_svg

WEIGHT = "dws_"
"""The names of DWS's weights in a history begin with it; the group's name follows."""

# key in the history, title, whether it is a fraction
PANELS = (
    ("loss", "Loss", False),
    ("accuracy", "Mean accuracy", True),
    ("balanced_accuracy", "Mean balanced accuracy", True),
)

_SIZE = (3.5, 2.2)  # inches
_FEW_EPOCHS = 25  # a line alone would hide fewer


@dataclass(frozen=True)
class Line:
    """A line in a figure.

    Attributes:
        values: by epoch; NaN where unknown.
        colour: one of `evaluation.style`.
        dashed: drawn with dashes.
        label: in the legend; empty for none.
    """

    values: Sequence[float]
    colour: str = BLUE
    dashed: bool = False
    label: str = ""


def training_panels(history: Mapping[str, Sequence[float]]) -> dict[str, Markup]:
    """Figures of loss, accuracy and balanced accuracy by epoch, those that exist, by title."""
    return {
        title: line_figure(
            [
                Line(history.get(key, ()), BLUE, label="training"),
                Line(history.get(f"val_{key}", ()), ORANGE, dashed=True, label="validation"),
            ],
            key=f"training_{key}",
            title=f"{title} by epoch",
            percent=fraction,
        )
        for key, title, fraction in PANELS
        if key in history or f"val_{key}" in history
    }


def weights_by_group(history: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """The weights that DWS gave to the groups' losses, by epoch.

    Example:
        >>> weights_by_group({"loss": [0.5], "dws_mouth": [1.0]})
        {'mouth': [1.0]}
    """
    return {
        key.removeprefix(WEIGHT): list(values)
        for key, values in history.items()
        if key.startswith(WEIGHT)
    }


def small_multiples(
    values: Mapping[str, Sequence[float]], key: str, title: str, *, percent: bool = False
) -> dict[str, Markup]:
    """A figure for each series, in blue, with the others in grey behind it and the same scales.

    Args:
        values: by name; one number for each epoch.
        key: as in `to_svg`; a number is appended.
        title: what the values are.
        percent: the values are fractions.
    """
    everything = [value for series in values.values() for value in series if math.isfinite(value)]
    limits = (min(everything, default=0.0), max(everything, default=1.0))
    return {
        name: line_figure(
            [Line(series, PALE) for other, series in values.items() if other != name]
            + [Line(values[name])],
            key=f"{key}_{number}",
            title=f"{title}: {name}",
            percent=percent,
            limits=limits,
            size=(2.6, 1.5),
        )
        for number, name in enumerate(values)
    }


def line_figure(
    lines: Sequence[Line],
    *,
    key: str,
    title: str,
    percent: bool = False,
    limits: tuple[float, float] | None = None,
    size: tuple[float, float] = _SIZE,
) -> Markup:
    """A figure of values by epoch.

    Args:
        lines: the last one is described for screen readers, with those that have a label.
        key, title: as in `to_svg`.
        percent: the values are fractions, written in percent.
        limits: of the vertical axis; None for those of the lines.
        size: width and height in inches.
    """
    with rc_context(SVG_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_visible(False)
        ax = figure.subplots()
        for line in lines:
            _draw(ax, line)
        if any(line.label and len(line.values) for line in lines):
            ax.legend(frameon=False, fontsize=8)
        if limits is not None:
            margin = 0.08 * (limits[1] - limits[0]) or 0.1
            ax.set_ylim(limits[0] - margin, limits[1] + margin)
        if percent:
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        _tidy(ax)
        return to_svg(figure, key, title, _description(lines, percent=percent))


def _draw(ax: Axes, line: Line) -> None:
    if not len(line.values):
        return
    behind = line.colour == PALE
    ax.plot(
        range(1, len(line.values) + 1),
        line.values,
        color=line.colour,
        linestyle="--" if line.dashed else "-",
        linewidth=0.8 if behind else 1.6,
        marker=None if behind or len(line.values) >= _FEW_EPOCHS else "o",
        markersize=3.5,
        label=line.label,
    )


def _tidy(ax: Axes) -> None:
    ax.patch.set_visible(False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor=INK, labelsize=8)
    ax.grid(axis="y", color=PALE, linewidth=0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    ax.set_xlabel("epoch", fontsize=8)


def _description(lines: Sequence[Line], *, percent: bool) -> str:
    def number(value: float) -> str:
        return f"{100 * value:.1f} %" if percent else f"{value:.3g}"

    described = [line for line in lines if len(line.values) and (line.label or line is lines[-1])]
    return " ".join(
        f"{line.label or 'The line'} goes from {number(line.values[0])} in the first epoch to "
        f"{number(line.values[-1])} in the last.".capitalize()
        for line in described
    )
