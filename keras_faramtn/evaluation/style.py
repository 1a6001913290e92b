"""The common style of all figures of evaluations, and how they are saved.

Figures are `Figure` objects, not pyplot's: no window opens and no state is shared with the
caller's plots. The colours are those of Okabe and Ito, distinguishable with any colour vision;
colour is never the only mark of a difference.
"""

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_faramtn.atomic_files import atomic_write_bytes

DPI = 150
"""Resolution of the PNG files, in pixels per inch."""

BLUE, ORANGE, PURPLE = "#0072B2", "#D55E00", "#A0488A"
INK, GREY, PALE = "#222222", "#777777", "#CCCCCC"

# The font that ships with matplotlib contains every symbol that the figures use.
STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK}
"""Settings for `matplotlib.rc_context`."""


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure to a PNG file atomically, replacing an older file.

    Raises:
        InputError: if the file cannot be written.
    """
    content = io.BytesIO()
    # Not `figure.savefig`, which may load the backend that the environment names.
    FigureCanvasAgg(figure).print_figure(content, format="png", facecolor="white")
    atomic_write_bytes(path, content.getvalue())
