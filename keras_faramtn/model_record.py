"""What is recorded about a model, in its `.keras` file and with every exported file."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_faramtn.attributes import DEFAULT_THRESHOLD, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.framing import Framing, framing_from_json, framing_to_json

RECORD_FILE = "model.json"
"""The record in JSON. It is in the folder of an export and inside each exported file."""


@dataclass(frozen=True)
class ModelRecord:
    """What a model predicts, and of what images.

    Attributes:
        groups: the attributes, in the order of the probabilities, and their groups.
        framing: how faces are framed in the training images; None if that is unknown.
        thresholds: for each attribute, in order, the probability above which it is predicted;
            None for 0.5.
        temperatures: for each attribute, in order, the temperature that its logit was divided by
            to calibrate its probability, already a part of the weights; None if the model was not
            calibrated.

    Example:
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> ModelRecord(groups, thresholds=(0.25,)).framing is None
        True
    """

    groups: AttributeGroups
    framing: Framing | None = None
    thresholds: tuple[float, ...] | None = None
    temperatures: tuple[float, ...] | None = None

    @property
    def decision_thresholds(self) -> tuple[float, ...]:
        """For each attribute, in order, the probability above which it is predicted."""
        if self.thresholds is None:
            return (DEFAULT_THRESHOLD,) * len(self.groups.attributes)
        return self.thresholds

    @property
    def threshold_by_attribute(self) -> dict[str, float] | None:
        """The thresholds by attribute; None for 0.5 for all."""
        return self._by_attribute(self.thresholds)

    @property
    def temperature_by_attribute(self) -> dict[str, float] | None:
        """The temperatures by attribute; None if the model was not calibrated."""
        return self._by_attribute(self.temperatures)

    def _by_attribute(self, values: tuple[float, ...] | None) -> dict[str, float] | None:
        if values is None:
            return None
        return dict(zip(self.groups.attributes, values, strict=True))


def record_to_json(record: ModelRecord) -> str:
    """The content of `RECORD_FILE`.

    It is an object with `attributes`, a list of names in the order of the probabilities; `groups`,
    an object from each group to its attributes; `framing`, as `framing_to_json` describes it, or
    null; and `thresholds` and `temperatures`, each an object from each attribute to its number, or
    null.
    """
    content = {
        "attributes": list(record.groups.attributes),
        "groups": {group: list(members) for group, members in record.groups.items()},
        "framing": None if record.framing is None else framing_to_json(record.framing),
        "thresholds": record.threshold_by_attribute,
        "temperatures": record.temperature_by_attribute,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def record_from_json(text: str) -> ModelRecord:
    """The record that `record_to_json` described.

    Raises:
        InputError: it is not such a description.

    Example:
        >>> record = ModelRecord(AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"]))
        >>> record_from_json(record_to_json(record)) == record
        True
    """
    try:
        content = json.loads(text)
        groups = AttributeGroups(content["groups"], content["attributes"])
        framing, thresholds = content["framing"], content["thresholds"]
        temperatures = content.get("temperatures")
        return ModelRecord(
            groups,
            None if framing is None else framing_from_json(framing),
            None if thresholds is None else _in_order(thresholds, groups.attributes, 0, 1),
            None
            if temperatures is None
            else _in_order(temperatures, groups.attributes, sys.float_info.min, sys.float_info.max),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"not a record of a model, as `faramtn export` writes it in {RECORD_FILE}."
        ) from error


def _in_order(
    numbers: Mapping[str, Any], attributes: tuple[str, ...], lowest: float, highest: float
) -> tuple[float, ...]:
    values = tuple(float(numbers[name]) for name in attributes)
    if not all(lowest <= value <= highest for value in values):  # no comparison with NaN is true
        raise ValueError("a number is out of range")
    return values
