"""Figures of matplotlib as SVG elements of a page, in the page's colours and font."""

import io
import re

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from keras_faramtn.evaluation.style import BLUE, GREY, INK, ORANGE, PALE, PURPLE, STYLE

SVG_STYLE = STYLE | {"svg.fonttype": "none", "svg.hashsalt": "keras_faramtn"}
"""Settings for `matplotlib.rc_context` while a figure is drawn and converted."""

_VARIABLES = {
    INK: "--ink",
    GREY: "--muted",
    PALE: "--line",
    BLUE: "--blue",
    ORANGE: "--orange",
    PURPLE: "--purple",
    "#ffffff": "--card",
    "#000000": "--ink",
}
_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def to_svg(figure: Figure, key: str, title: str, description: str) -> Markup:
    """Converts a figure to an `<svg>` element.

    The colours of `evaluation.style` become the page's CSS variables, so the figure follows the
    light or dark scheme. Text stays text, in the page's font.

    Args:
        figure: without background.
        key: unique in the page, of letters, digits and underscores; the ids of the element's parts
            begin with it.
        title, description: what screen readers read instead of the figure.
    """
    content = io.StringIO()
    with rc_context(SVG_STYLE):
        FigureCanvasSVG(figure).print_svg(content, metadata=_METADATA)
    text = content.getvalue()
    drawn = text[text.index("<svg") :]
    [box] = re.findall(r'viewBox="([^"]*)"', drawn)
    drawn = drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")]
    # Its rules would apply to the whole page.
    drawn = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", drawn, flags=re.S)
    drawn = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{key}_", drawn)
    drawn = re.sub(r'"[^"]*"', lambda value: _rounded(value[0]), drawn)
    drawn = drawn.replace("xlink:href", "href").replace("'DejaVu Sans'", "var(--font)")
    for colour, variable in _VARIABLES.items():
        drawn = re.sub(colour, f"var({variable})", drawn, flags=re.I)
    drawn = re.sub(r"\n\s*", "\n", drawn).strip()
    return Markup(
        f'<svg class="plot" viewBox="{box}" role="img" aria-labelledby="{key}_t {key}_d">'
        f'<title id="{key}_t">{escape(title)}</title>'
        f'<desc id="{key}_d">{escape(description)}</desc>{drawn}</svg>'
    )


def _rounded(attribute: str) -> str:
    """The numbers of an attribute with two decimals: a hundredth of a point."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", attribute)
