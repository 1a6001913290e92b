"""Renders a page from its template: one HTML file without scripts or external resources."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from keras_faramtn.atomic_files import atomic_write_bytes
from keras_faramtn.counted import counted
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.undefined import percent as percent_number

_STYLE_FILE = Path(__file__).with_name("style.css")


def check_page_path(path: Path) -> None:
    """Checks that a page can be written, before long work begins.

    Raises:
        InputError: the name does not end in `.html`, the file exists, or its folder does not.

    Example:
        >>> check_page_path(Path("report.pdf"))
        Traceback (most recent call last):
            ...
        keras_faramtn.errors.InputError: report.pdf: a report is a page; choose a name that ends ...
    """
    if path.suffix != ".html":
        raise InputError(f"{path}: a report is a page; choose a name that ends in .html.")
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: this file already exists; choose another name, or remove it.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: there is no such folder; create it first.")


def write_page(path: Path, template: str, **content: Any) -> int:
    """Renders a template and writes the page atomically.

    Args:
        path: a new file.
        template: the name of a template in `templates`, without `.html.j2`.
        content: the template's variables. Everything that is not `Markup` is escaped.

    Returns:
        The size of the page in bytes.

    Raises:
        InputError: the file exists or can't be written.
    """
    page = render(template, date=f"{datetime.now():%Y-%m-%d %H:%M}", **content)
    data = page.encode("utf-8", "replace")  # names of files that are not Unicode
    check_page_path(path)  # again: another program may have written it during the long work
    atomic_write_bytes(path, data)
    return len(data)


def render(template: str, **content: Any) -> str:
    """The page of a template, see `write_page`."""
    environment = Environment(
        loader=PackageLoader("keras_faramtn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for each in (counted, percent, signed, decimal, interval, text):
        environment.filters[each.__name__] = each
    environment.filters["points"] = percent_number  # without the unit, for tables
    style = Markup(_STYLE_FILE.read_text(encoding="utf-8"))
    return environment.get_template(f"{template}.html.j2").render(style=style, **content)


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction in percent, for reading.

    Example:
        >>> percent(0.1234), percent(None)
        ('12.3\\xa0%', '-')
    """
    return "-" if fraction is None else f"{percent_number(fraction, digits)}\N{NO-BREAK SPACE}%"


def signed(difference: float, digits: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign.

    Example:
        >>> signed(0.1234)
        '+12.3'
    """
    return f"{round(100 * difference, digits) + 0.0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def decimal(number: float) -> str:
    """A number with its sign and two decimals.

    Example:
        >>> decimal(0.126)
        '+0.13'
    """
    return f"{round(number, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def interval(ends: Sequence[float] | None, digits: int = 1) -> str:
    """The ends of an interval of a fraction, in percent.

    Example:
        >>> interval((0.1234, 0.5)), interval(None)
        ('12.3 to 50.0\\xa0%', '')
    """
    if ends is None:
        return ""
    low, high = ends
    return f"{percent_number(low, digits)} to {percent(high, digits)}"


def text(name: str) -> str:
    """The name of an attribute, group or network as words.

    Example:
        >>> text("Wearing_Hat")
        'Wearing Hat'
    """
    return name.replace("_", " ")
