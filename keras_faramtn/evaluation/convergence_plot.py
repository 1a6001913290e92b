"""The figure of how the groups of networks converge: one panel for each network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill, shorten
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from keras_faramtn.evaluation.convergence import (
    DIFFERENT_EPOCHS,
    epochs_differ,
    in_epochs,
    levels_as_text,
    number_of_epochs,
    number_of_runs,
    undefined_groups,
)
from keras_faramtn.evaluation.style import BLUE, DPI, GREY, INK, PALE, STYLE, save_figure
from keras_faramtn.evaluation.undefined import mean_of_defined

_COLUMNS = 3
_LINE = 30  # characters; a longer line would cover the curves
_LOWEST = -0.25  # of the vertical axis: a loss may be far above that of a constant prediction


def convergence_figure(convergence: Mapping[str, Any], path: str | Path) -> Figure:
    """Draws by epoch which share of its largest improvement each group has reached.

    Args:
        convergence: `levels`, and for the name of each of `networks` the result of
            `convergence_of_runs`.
        path: the PNG file; an older one is replaced.

    Returns:
        The figure: one axes per network.

    Raises:
        InputError: if the file cannot be written.
    """
    networks = convergence["networks"]
    columns = min(_COLUMNS, len(networks))
    rows = -(-len(networks) // columns)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 0.9 + 2.7 * rows), dpi=DPI, layout=layout)
        figure.suptitle(_heading(convergence), x=0.012, ha="left", fontsize=9, color=GREY)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        bottom = 0.0
        for ax, (name, each) in zip(axes, networks.items(), strict=False):
            draw_convergence(ax, each, convergence["levels"])
            bottom = min(bottom, ax.get_ylim()[0])
            epochs = f" ({number_of_epochs(each)} epochs)" if epochs_differ(networks) else ""
            ax.set_title(
                name.replace("_", " ") + epochs,
                loc="left",
                fontsize=11,
                fontweight="bold",
                parse_math=False,
            )
        axes[0].set_ylim(bottom=bottom)
        for ax in axes[len(networks) :]:
            ax.remove()
        for ax in axes[max(0, len(networks) - columns) : len(networks)]:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("epoch", fontsize=9)
        save_figure(figure, path)
    return figure


def _heading(convergence: Mapping[str, Any]) -> str:
    networks = convergence["networks"]
    runs = max(map(number_of_runs, networks.values()))
    mean = f", mean over {runs} seeds" if runs > 1 else ""
    lines = [
        "Share of its largest improvement of the validation loss that each group has reached after "
        f"each epoch{mean}.  0: as a constant prediction.",
        "Thin: groups.  Thick: their mean.  Dots: where groups reach "
        f"{levels_as_text(convergence['levels'])}.  "
        "Spread: standard deviation of these epochs over the groups.",
        *([DIFFERENT_EPOCHS] if epochs_differ(networks) else []),
    ]
    return "\n".join(lines)


def draw_convergence(ax: Axes, network: Mapping[str, Any], levels: Sequence[float]) -> None:
    """Draws one network: thin lines for the groups, a thick one for their mean, and the spread.

    Args:
        ax: where to draw.
        network: the result of `convergence_of_runs`.
        levels: its levels.
    """
    groups = network["groups"]
    for level in levels:
        ax.axhline(level, color=PALE, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    lines = np.array([_mean_over_seeds(each["shares_by_seed"]) for each in groups.values()])
    for line in lines:
        _draw_line(ax, line, color=GREY, linewidth=0.8, zorder=2)
    _draw_line(ax, mean_of_defined(lines.T), color=BLUE, linewidth=2.2, zorder=3)
    for each in groups.values():
        epochs = [np.nan if epoch["mean"] is None else epoch["mean"] for epoch in each["epochs"]]
        ax.plot(epochs, levels, ".", color=INK, markersize=4, zorder=4)
    lines_of_text = ["spread in epochs", *spread_lines(network, levels)]
    text = "\n".join(fill(line, _LINE) for line in lines_of_text)
    ax.text(
        0.98,
        0.04,
        text,
        transform=ax.transAxes,
        ha="right",
        va="bottom",
        fontsize=8,
        linespacing=1.35,
        parse_math=False,
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
    lowest = np.min(lines, initial=0.0, where=np.isfinite(lines))
    ax.set_ylim(max(_LOWEST, lowest) - 0.04, 1.06)
    ax.margins(x=0.02)
    ax.set_yticks([0.0, *levels], ["0", *(f"{100 * level:g} %" for level in levels)])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor=INK, labelsize=8)


def spread_lines(network: Mapping[str, Any], levels: Sequence[float]) -> list[str]:
    """The spread of the groups at each level, in words, or why it isn't defined.

    Args:
        network, levels: as in `draw_convergence`.

    Example:
        >>> spread = {"mean": 0.5, "spread": 0.12, "by_seed": [0.4, 0.6]}
        >>> epochs = [{"mean": 1.0, "spread": 0.0, "by_seed": [1.0, 1.0]}]
        >>> eyes = {"epochs": epochs, "shares_by_seed": [[0.0, 0.8, 1.0]] * 2}
        >>> network = {"groups": {"eyes": eyes}, "spread_of_groups": [spread]}
        >>> spread_lines(network, [0.8])
        ['at 80 %: 0.50 ± 0.12']
    """
    undefined = undefined_groups(network)
    if undefined:
        return [
            "not defined",
            *(
                f"{why}: {shorten(', '.join(groups).replace('_', ' '), 32)}"
                for why, groups in undefined.items()
            ),
        ]
    return [
        f"at {100 * level:g} %: {in_epochs(each)}"
        for level, each in zip(levels, network["spread_of_groups"], strict=True)
    ]


def _mean_over_seeds(by_seed: Sequence[Sequence[float | None]]) -> np.ndarray:
    """`(T + 1,)`: the mean over the seeds for which the share is defined, else NaN."""
    return mean_of_defined(np.array(by_seed, "float64").T)


def _draw_line(ax: Axes, shares: np.ndarray, **style: Any) -> None:
    epochs = np.flatnonzero(np.isfinite(shares))  # without gaps at epochs without validation
    ax.plot(epochs, shares[epochs], **style)
