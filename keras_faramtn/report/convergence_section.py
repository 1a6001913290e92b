"""How the groups of networks converge, as a section of a page."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from keras_faramtn.evaluation.convergence import in_epochs
from keras_faramtn.evaluation.convergence_plot import draw_convergence, spread_lines
from keras_faramtn.report.page import text
from keras_faramtn.report.svg import SVG_STYLE, to_svg


def convergence_section(convergence: Mapping[str, Any]) -> dict[str, Any]:
    """What the template's macro `convergence` shows.

    Args:
        convergence: as in `convergence_figure`.

    Returns:
        `levels`, as text; `networks`, for each its `name`, `figure`, `spreads` by level and
        `groups`: pairs of a name and the epochs by level, as text.
    """
    levels = convergence["levels"]
    return {
        "levels": [f"{100 * level:g} %" for level in levels],
        "networks": [
            {
                "name": name,
                "figure": _figure(each, levels, f"convergence_{number}", name),
                "spreads": [in_epochs(spread) for spread in each["spread_of_groups"]],
                "groups": [
                    (group, [in_epochs(epoch) for epoch in found["epochs"]])
                    for group, found in each["groups"].items()
                ],
            }
            for number, (name, each) in enumerate(convergence["networks"].items())
        ],
    }


def _figure(network: Mapping[str, Any], levels: list[float], key: str, name: str) -> Markup:
    with rc_context(SVG_STYLE):
        figure = Figure(figsize=(3.5, 2.6), layout="constrained")
        figure.patch.set_visible(False)
        ax = figure.subplots()
        ax.patch.set_visible(False)
        draw_convergence(ax, network, levels)
        ax.set_xlabel("epoch", fontsize=8)
        title = f"Share of the improvement by epoch{': ' if name else ''}{text(name)}"
        spreads = "; ".join(spread_lines(network, levels))
        return to_svg(figure, key, title, f"Spread of the groups in epochs: {spreads}.")
