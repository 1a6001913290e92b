"""Figures of evidence and attention, as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_faramtn.evaluation.style import BLUE, DPI, GREY, ORANGE, STYLE, save_figure
from keras_faramtn.explanations.attention import Attention
from keras_faramtn.explanations.evidence import Explanation
from keras_faramtn.explanations.occlusion import cell_side

_FOR_AND_AGAINST = LinearSegmentedColormap.from_list("evidence", [BLUE, "white", ORANGE])
_WEIGHT = LinearSegmentedColormap.from_list("weight", ["white", ORANGE])
_GATE = matplotlib.colormaps["cividis"]
_HEIGHT = 2.4  # of an image, in inches


def draw_explanation(
    image: np.ndarray,
    explanation: Explanation,
    occlusion: np.ndarray,
    thresholds: Sequence[float],
    path: str | Path,
) -> Figure:
    """Draws where the evidence for the attributes in one image lies.

    Each attribute has a row: the image, its evidence, and the fall of its logit where the image is
    blurred. Orange is evidence for the attribute, blue against it; each map has a scale in logits.

    Args:
        image: `(height, width, 3)` uint8, RGB.
        explanation: of this image only.
        occlusion: the result of `occlude` for this image, `(1, k, rows, columns)`.
        thresholds: the attributes' thresholds, k.
        path: the PNG file; an older one is replaced.

    Returns:
        The figure.

    Raises:
        InputError: the file can't be written.
    """
    height, width = image.shape[:2]
    rows, step = len(explanation.attributes), cell_side(height, width)
    panel = max(_HEIGHT * width / height, 1.6)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3 * panel + 2.6, rows * (_HEIGHT + 0.6)), dpi=DPI, layout=layout)
        axes = figure.subplots(rows, 3, squeeze=False)
        for row, attribute in enumerate(explanation.attributes):
            logit = explanation.logits[0, row]
            _title(
                axes[row, 0],
                f"{attribute.replace('_', ' ')}: {100 * explanation.probabilities[0, row]:.0f} %\n"
                f"threshold {100 * thresholds[row]:.0f} %, logit {_signed(logit)}",
            )
            axes[row, 0].imshow(image)
            grid, bias = explanation.evidence[0, row], explanation.bias[row]
            _title(
                axes[row, 1],
                f"Evidence by position\nsum {_signed(grid.sum())}, bias {_signed(bias)}",
            )
            sides = (height / len(grid), width / len(grid[0]))
            _overlay(figure, axes[row, 1], image, grid, sides)
            _title(axes[row, 2], "Fall of the logit\nwhere the image is blurred")
            _overlay(figure, axes[row, 2], image, occlusion[0, row], (step, step))
        for ax in axes.flat:
            ax.set_axis_off()
        save_figure(figure, path)
    return figure


def draw_attention(attention: Attention, image: np.ndarray, path: str | Path) -> Figure:
    """Draws the attention of a network, averaged over images.

    Args:
        attention: of a network with WSGSA or CGFF or both; all averages are over the first axis.
        image: `(height, width, 3)` uint8, RGB, the background of the maps, such as the mean image.
        path: the PNG file; an older one is replaced.

    Returns:
        The figure.

    Raises:
        InputError: the file can't be written.
    """
    names = [group.replace("_", " ") for group in attention.groups]
    columns = min(4, len(names))
    map_rows = -(-len(names) // columns)
    map_height = 2.0 * image.shape[0] / image.shape[1]
    parts: list[tuple[float, Any]] = []
    if attention.gates is not None:
        gates = attention.gates.mean(axis=0)
        parts.append((1 + 0.22 * len(names), lambda part: _draw_gates(part, gates, names)))
    if attention.to_groups is not None and attention.to_positions is not None:
        groups = attention.to_groups.mean(axis=(0, 1))
        maps = attention.to_positions.mean(axis=(0, 1))
        parts.append((1.6 + 0.32 * len(names), lambda part: _draw_groups(part, groups, names)))
        parts.append(
            (
                0.6 + map_rows * (map_height + 0.3),
                lambda part: _draw_positions(part, maps, names, image, map_rows, columns),
            )
        )
    heights = [height for height, _ in parts]
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, sum(heights)), dpi=DPI, layout=layout)
        subfigures = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
        for subfigure, (_, draw) in zip(subfigures, parts, strict=True):
            draw(subfigure)
        save_figure(figure, path)
    return figure


def _signed(number: float) -> str:
    """With a minus as on the scales, not a hyphen."""
    return f"{number:+.2f}".replace("-", "\N{MINUS SIGN}")


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=8, parse_math=False)


def _overlay(
    figure: Figure, ax: Axes, image: np.ndarray, grid: np.ndarray, sides: tuple[float, float]
) -> None:
    """A map over the image in grey, with its scale; `sides` are those of a cell, in pixels."""
    height, width = image.shape[:2]
    limit = max(float(np.abs(grid).max()), 1e-6)
    scale = ScalarMappable(Normalize(-limit, limit), _FOR_AND_AGAINST)
    ax.imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    colours = scale.to_rgba(grid)
    colours[..., 3] = 0.8 * np.abs(grid) / limit
    extent = (0, grid.shape[1] * sides[1], grid.shape[0] * sides[0], 0)
    ax.imshow(colours, extent=extent, interpolation="nearest")
    ax.set(xlim=(0, width), ylim=(height, 0))
    _scale_bar(figure, ax, scale, "{x:+.2g}")


def _scale_bar(figure: Figure, ax: Any, scale: ScalarMappable, form: str) -> None:
    bar = figure.colorbar(scale, ax=ax, format=form, shrink=0.9, aspect=18, pad=0.03)
    bar.ax.tick_params(labelsize=7, color=GREY)
    bar.outline.set_visible(False)


def _draw_gates(figure: Any, gates: np.ndarray, names: Sequence[str]) -> None:
    ax = figure.subplots()
    order = np.argsort(gates.mean(axis=0), kind="stable")
    drawn = ax.imshow(
        gates[:, order], cmap=_GATE, vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    _title(ax, f"WSGSA: gates of the {len(order)} channels, in the order of their mean")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_xticks([])
    _scale_bar(figure, ax, drawn, "{x:.1f}")


def _draw_groups(figure: Any, weights: np.ndarray, names: Sequence[str]) -> None:
    """Rows are the groups that attend; the last column is the sum over all positions."""
    ax = figure.subplots()
    table = 100 * np.column_stack([weights, 1 - weights.sum(axis=1)])
    drawn = ax.imshow(table, cmap=_WEIGHT, vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        ax.text(column, row, f"{table[row, column]:.1f}", ha="center", va="center", fontsize=8)
    _title(ax, "CGFF: attention of each group (row) to each group and to all positions, in percent")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_xticks(range(len(names) + 1), [*names, "positions"], fontsize=8, rotation=30, ha="right")
    _scale_bar(figure, ax, drawn, "{x:.0f} %")


def _draw_positions(
    figure: Any,
    maps: np.ndarray,
    names: Sequence[str],
    image: np.ndarray,
    rows: int,
    columns: int,
) -> None:
    figure.suptitle(
        "CGFF: attention of each group to the positions of the trunk's map",
        x=0.01,
        ha="left",
        fontsize=8,
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    height, width = image.shape[:2]
    scale = ScalarMappable(Normalize(0, float(maps.max())), _WEIGHT)
    for ax, weights, name in zip(axes.flat, maps, names, strict=False):
        ax.imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        colours = scale.to_rgba(weights)
        colours[..., 3] = 0.85 * weights / maps.max()
        ax.imshow(colours, extent=(0, width, height, 0), interpolation="nearest")
        _title(ax, name)
    for ax in axes.flat:
        ax.set_axis_off()
    _scale_bar(figure, list(axes.flat), scale, "{x:.2g}")
