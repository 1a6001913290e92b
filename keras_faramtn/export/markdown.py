"""Text and tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

# An underscore inside a word, as in `Wavy_Hair`, has no meaning.
_SPECIAL = re.compile(r"[\\`*\[\]<>|#&~$]|(?<![^\W_])_|_(?![^\W_])")


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is, such as a name that a user has chosen.

    Example:
        >>> print(escape("Wavy_Hair *|* _new_"))
        Wavy_Hair \*\|\* \_new\_
    """
    return _SPECIAL.sub(lambda match: "\\" + match[0], " ".join(text.split()))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells must be Markdown already.

    Example:
        >>> print(table(["score", "percent"], [["accuracy", "91.2"]]))
        | score | percent |
        |---|---|
        | accuracy | 91.2 |
    """
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)
