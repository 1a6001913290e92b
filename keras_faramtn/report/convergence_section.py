"""How the groups of networks converge, as a section of a page."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from keras_faramtn.evaluation.convergence import (
    DIFFERENT_EPOCHS,
    epochs_differ,
    in_epochs,
    levels_as_text,
    number_of_epochs,
    number_of_runs,
    undefined_groups,
)
from keras_faramtn.evaluation.convergence_plot import draw_convergence, spread_lines
from keras_faramtn.report.page import text
from keras_faramtn.report.svg import SVG_STYLE, to_svg


def convergence_section(convergence: Mapping[str, Any]) -> dict[str, Any]:
    """What the template's macro `convergence` shows.

    Args:
        convergence: as in `convergence_figure`.

    Returns:
        `levels` and `all_levels`, as text; `runs`, the number of seeds; `different_epochs`, a
        sentence if the networks have different numbers of epochs, else empty; `networks`, for each
        its `name`, `epochs`, `figure`, `spreads` by level, `groups`: pairs of a name and the epochs
        by level, as text, and `undefined`: pairs of a reason and the names of groups.
    """
    levels, networks = convergence["levels"], convergence["networks"]
    return {
        "levels": [f"{100 * level:g} %" for level in levels],
        "all_levels": levels_as_text(levels),
        "runs": max(map(number_of_runs, networks.values())),
        "different_epochs": DIFFERENT_EPOCHS if epochs_differ(networks) else "",
        "networks": [
            {
                "name": name,
                "epochs": number_of_epochs(each),
                "figure": _figure(each, levels, f"convergence_{number}", name),
                "spreads": [in_epochs(spread) for spread in each["spread_of_groups"]],
                "groups": [
                    (group, [in_epochs(epoch) for epoch in found["epochs"]])
                    for group, found in each["groups"].items()
                ],
                "undefined": list(undefined_groups(each).items()),
            }
            for number, (name, each) in enumerate(networks.items())
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
        title = f"Share of the largest improvement by epoch{': ' if name else ''}{text(name)}"
        spreads = "; ".join(spread_lines(network, levels))
        return to_svg(figure, key, title, f"Spread of the groups in epochs: {spreads}.")
