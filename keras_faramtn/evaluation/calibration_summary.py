"""The result of a calibration in words, for a terminal."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_faramtn.counted import counted


def calibration_summary(content: Mapping[str, Any]) -> str:
    """The temperatures, the means before and after, and whether the calibration error falls.

    Args:
        content: from `calibration_content`.
    """
    attributes = content["attributes"]
    temperatures = [each["temperature"] for each in attributes.values() if each["note"] is None]
    fitted = content["fitted_on"]
    lines = [f"Fitted on {counted(fitted['images'], 'image')} of the {fitted['split']} split."]
    if temperatures:
        lines.append(
            f"{counted(len(temperatures), 'temperature')} from {min(temperatures):.2f} to "
            f"{max(temperatures):.2f}, median {np.median(temperatures):.2f}."
        )
    for name, each in attributes.items():
        if each["note"]:
            lines.append(f"  {name}: temperature {each['temperature']:g}, {each['note']}.")
    lines += ["", f"Means over the attributes, on {measured_images(content)}:"]
    for figure, (title, scale, digits, unit) in _TITLES.items():
        before, after = content["before"][figure], content["after"][figure]
        if before is not None and after is not None:
            lines.append(
                f"  {title:<26}{scale * before:8.{digits}f}{unit} before "
                f"{scale * after:8.{digits}f}{unit} after"
            )
    lines.append(_verdict(content))
    return "\n".join(lines)


_TITLES = {
    "calibration_error": ("expected calibration error", 100, 2, " %"),
    "brier": ("Brier score", 1, 4, "  "),
    "log_loss": ("log loss", 1, 4, "  "),
    "accuracy": ("accuracy", 100, 2, " %"),
    "balanced_accuracy": ("balanced accuracy", 100, 2, " %"),
    "f1": ("F1", 100, 2, " %"),
}

_LEAST_FALL = 0.01  # percentage points, below which the error falls by "0.00"


def _verdict(content: Mapping[str, Any]) -> str:
    before, after = (content[when]["calibration_error"] for when in ("before", "after"))
    if before is None or after is None:
        return "The calibration error is not defined: no label of these images is known."
    if (fall := 100 * (before - after)) < _LEAST_FALL:
        return (
            "The calibration error does not fall. As far as these images show, temperatures don't "
            "help this model: use the original file, or more images."
        )
    errors = [
        [each[when]["calibration_error"] for when in ("before", "after")]
        for each in content["attributes"].values()
    ]
    defined = [(before, after) for before, after in errors if before is not None]
    falls = sum(after < before for before, after in defined)
    return (
        f"The calibration error falls by {fall:.2f} percentage points, and for {falls} of "
        f"{len(defined)} attributes."
    )


def measured_images(content: Mapping[str, Any]) -> str:
    """The images that the figures are of, in words, as part of a sentence."""
    measured = content["measured_on"]
    text = f"{counted(measured['images'], 'image')} of the {measured['split']} split"
    if measured["cross_fitted"]:
        return f"{text}, each half with what was fitted on the other half"
    return f"{text}, which nothing was fitted on"
