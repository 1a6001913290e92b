"""The figure of a comparison: differences with their intervals, and the cost of each network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, ScalarFormatter

from keras_faramtn.evaluation.paired_comparison import (
    COMPARED_SCORES,
    excludes_zero,
    interval_over,
)
from keras_faramtn.evaluation.style import BLUE, DPI, GREY, INK, ORANGE, PALE, STYLE, save_figure

# key in a network's entry, title, format of a value
_COSTS = (
    ("parameters", "Parameters", lambda value: f"{value / 1e6:.2f} M"),
    ("train_step_ms", "Train step", lambda value: f"{value:.0f} ms"),
)


def comparison_figure(content: Mapping[str, Any], path: str | Path) -> Figure:
    """Draws a comparison: one row of panels for each reference network, then the costs.

    Args:
        content: as in `comparison_markdown`.
        path: the PNG file; an older one is replaced.

    Returns:
        The figure. Its axes: for each row of panels one per score, then one per kind of cost.

    Raises:
        InputError: if the file cannot be written.
    """
    networks, differences = content["networks"], content["differences"]
    line = 0.36  # inches per network
    rows = len(differences)
    heights = [0.75 + line * len(networks)] * (rows + 1)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 1.0 + sum(heights)), dpi=DPI, layout=layout)
        figure.suptitle(_heading(content), x=0.012, ha="left", fontsize=9, color=GREY)
        panels = figure.subfigures(rows + 1, 1, height_ratios=heights, squeeze=False)[:, 0]
        for panel, (other, by_name) in zip(panels, differences.items(), strict=False):
            _title(panel, f"Difference from {_text(other)}, in percentage points")
            axes = panel.subplots(1, len(COMPARED_SCORES), sharey=True)
            for ax, key in zip(axes, COMPARED_SCORES, strict=True):
                _draw_differences(ax, list(networks), other, by_name, key)
                _write_score(ax, list(networks).index(other), networks[other][key]["mean"])
            _name_networks(axes[0], list(networks), other)
        _title(panels[-1], "Cost")
        axes = panels[-1].subplots(1, len(_COSTS), sharey=True)
        for ax, (key, title, text) in zip(axes, _COSTS, strict=True):
            _draw_costs(ax, [each[key] for each in networks.values()], title, text)
        _name_networks(axes[0], list(networks), None)
        save_figure(figure, path)
    return figure


def _heading(content: Mapping[str, Any]) -> str:
    seeds = len(content["seeds"])
    return (
        f"{content['images']:,} images of {content['data']} ({content['split']} split), "
        f"{seeds} seed{'s' if seeds > 1 else ''}.  Small dots: single seeds.\n"
        f"Bar: 95 % interval over {interval_over(content)}.  "
        "Filled: the interval excludes zero (blue: better, orange: worse).  Hollow: it does not."
    )


def _title(panel: Any, text: str) -> None:
    panel.suptitle(text, x=0.012, ha="left", fontsize=11, fontweight="bold")


def _text(name: str) -> str:
    return name.replace("_", " ")


def _draw_differences(
    ax: Axes, names: Sequence[str], other: str, by_name: Mapping[str, Any], key: str
) -> None:
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for row, name in enumerate(names):
        if name == other:
            continue
        each = by_name[name][key]
        if each["mean"] is None or each["low"] is None:
            ax.text(0, row, "  not defined", va="center", fontsize=8, color=GREY)
            continue
        significant = excludes_zero(each)
        colour = (BLUE if each["mean"] > 0 else ORANGE) if significant else GREY
        ends = [100 * each["low"], 100 * each["high"]]
        ax.plot(ends, [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
        # The dot of a single seed would be hidden under the mean.
        seeds = [100 * value for value in each["by_seed"] if len(each["by_seed"]) > 1]
        ax.plot(seeds, [row + 0.27] * len(seeds), ".", markersize=3.5, color=colour, alpha=0.7)
        ax.plot(
            [100 * each["mean"]],
            [row],
            marker="o",
            markersize=6.5,
            color=colour,
            markerfacecolor=colour if significant else "white",
            markeredgewidth=1.4,
        )
    ax.set_title(_text(key), loc="left", fontsize=9.5)
    ax.grid(axis="x", color=PALE, linewidth=0.5)
    _tidy(ax)
    ax.margins(x=0.14)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value)))


def _signed(points: float) -> str:
    return ScalarFormatter.fix_minus(f"{points:+g}") if points else "0"


def _write_score(ax: Axes, row: int, score: float | None) -> None:
    """Writes the score of the reference network onto the zero line."""
    ax.text(
        0,
        row,
        "-" if score is None else f"{100 * score:.2f} %",
        ha="center",
        va="center",
        fontsize=8,
        color=GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def _draw_costs(ax: Axes, values: Sequence[float], title: str, text: Any) -> None:
    ax.barh(range(len(values)), values, height=0.42, color=GREY)
    for row, value in enumerate(values):
        ax.annotate(
            text(value),
            (value, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_title(title, loc="left", fontsize=9.5)
    _tidy(ax)
    ax.spines["bottom"].set_visible(False)
    ax.set_xticks([])
    ax.set_xlim(0, 1.18 * max(values))


def _name_networks(ax: Axes, names: Sequence[str], other: str | None) -> None:
    ax.set_yticks(range(len(names)), [_text(name) for name in names], fontsize=9)
    ax.set_ylim(len(names) - 0.45, -0.55)
    for label, name in zip(ax.get_yticklabels(), names, strict=True):
        label.set_color(GREY if name == other else INK)


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GREY)
    ax.tick_params(axis="x", colors=GREY, labelcolor=INK, labelsize=8)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
