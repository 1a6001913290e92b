"""How all images of evaluations look, and how they are written.

Drawn on `Figure` objects, not through pyplot: no window, no state shared with the caller's plots.
Colours are Okabe and Ito's, told apart with any colour vision; marks never rest on colour alone.
"""

import io
from pathlib import Path

from matplotlib.figure import Figure

from keras_faramtn.atomic_files import atomic_write_bytes

DPI = 150
"""Pixels an inch of the PNG files."""

BLUE, ORANGE, PURPLE = "#0072B2", "#D55E00", "#A0488A"
INK, GREY, PALE = "#222222", "#777777", "#CCCCCC"

# The font that comes with matplotlib has all marks that are drawn.
STYLE = {"font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK}
"""Settings for `matplotlib.rc_context`."""


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure as a PNG file, whole or not at all; an older one is replaced.

    Raises:
        InputError: the file can't be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format="png", facecolor="white")
    atomic_write_bytes(path, content.getvalue())
