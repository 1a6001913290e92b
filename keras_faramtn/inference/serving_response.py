"""Checks what a TensorFlow Serving server sends."""

from typing import Any

from keras_faramtn.model_record import ModelRecord, record_from_json

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""The largest response that is read. A real one has about 2 kB per image with 40 attributes."""

CHECK_MODEL = "check that it serves a model that `faramtn export` wrote."

_MAX_QUOTED = 500
_MAX_IMAGE_SIDE = 8192  # pixels, far more than any network takes


class TransientError(Exception):
    """A failure after which a retry may succeed.

    Args:
        reason: a description without a full stop.
        retry_after: seconds that the server requests to wait.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def read_rows(rows: Any, count: int) -> list[dict[str, float] | str]:
    """Reads the response to a request with several images.

    Args:
        rows: the response for each image: a dict with lists `probabilities` and `attributes`, and
            a string `error`.
        count: the number of images.

    Returns:
        For each image its probabilities by attribute, or its error.

    Raises:
        ValueError: a row is missing, or has another form.

    Example:
        >>> read_rows([{"probabilities": [0.9], "attributes": ["Smiling"], "error": ""}], count=1)
        [{'Smiling': 0.9}]
    """
    if not isinstance(rows, list):
        raise ValueError("there is no list of predictions")
    if len(rows) != count:
        raise ValueError(f"{len(rows)} predictions for {count} images")
    return [_read_row(row) for row in rows]


def _read_row(row: Any) -> dict[str, float] | str:
    if not isinstance(row, dict):
        raise ValueError("a prediction has no names of outputs")
    error = row.get("error")
    if not isinstance(error, str):
        raise ValueError("the output `error` is missing or not a string")
    if error:
        return quote_message(error)
    attributes, probabilities = row.get("attributes"), row.get("probabilities")
    if not isinstance(attributes, list) or not isinstance(probabilities, list):
        raise ValueError("the output `attributes` or `probabilities` is missing or not a list")
    if not attributes or len(attributes) != len(probabilities):
        raise ValueError(f"{len(probabilities)} probabilities for {len(attributes)} attributes")
    if not all(isinstance(name, str) and name and name.isprintable() for name in attributes):
        raise ValueError("an attribute's name is not a printable string")
    if len(set(attributes)) != len(attributes):
        raise ValueError("two attributes have the same name")
    if not all(type(probability) in {int, float} for probability in probabilities):
        raise ValueError("a probability is not a number")
    return dict(zip(attributes, map(float, probabilities), strict=True))


def read_description(rows: Any) -> tuple[ModelRecord, tuple[int, int]]:
    """Reads the response to a request for the model's record.

    Args:
        rows: a list of one dict with a string `record` and a list `image_size`.

    Returns:
        The record, and height and width in pixels of the images that the model takes.

    Raises:
        ValueError: the response has another form.

    Example:
        >>> from keras_faramtn.attributes import single_group
        >>> from keras_faramtn.model_record import record_to_json
        >>> text = record_to_json(ModelRecord(single_group(["Smiling"])))
        >>> record, image_size = read_description([{"record": text, "image_size": [218, 178]}])
        >>> record.groups.attributes, image_size
        (('Smiling',), (218, 178))
    """
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        raise ValueError("it does not describe the model")
    record, image_size = rows[0].get("record"), rows[0].get("image_size")
    if not isinstance(record, str):
        raise ValueError("the output `record` is missing or not a string")
    if not (
        isinstance(image_size, list)
        and len(image_size) == 2
        and all(type(size) is int and 0 < size <= _MAX_IMAGE_SIDE for size in image_size)
    ):
        raise ValueError("the output `image_size` is missing or not a height and a width")
    return record_from_json(record), (image_size[0], image_size[1])


def quote_message(text: str) -> str:
    """A server's message on one line: long ones shortened, control characters replaced.

    Example:
        >>> quote_message("model\\n not found")
        'model not found'
    """
    text = " ".join(text.split())
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."
