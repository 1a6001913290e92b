"""Lets Griffe render two sections of docstrings that Keras has and Google's style does not."""

import re
from typing import Any

import griffe


class KerasSections(griffe.Extension):
    """Reads `Example:` as `Examples:`, and the `Call arguments:` of layers as a list."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            text = re.sub(r"(?m)^Example:$", "Examples:", obj.docstring.value)
            obj.docstring.value = re.sub(
                r"(?m)^Call arguments:\n(?: {4}.*\n?)+",
                lambda section: re.sub(r"(?m)^ {4}(?=\S)", "    - ", section[0]),
                text,
            )
