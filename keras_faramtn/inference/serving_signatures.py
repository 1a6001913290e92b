"""The signatures of an exported SavedModel that clients of a server use."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """A signature with one input, string `(batch,)`.

    Attributes:
        name: the name in the SavedModel.
        input: the name of the input.
        outputs: for each output its dtype and its number of dimensions, the first for the batch.
    """

    name: str
    input: str
    outputs: Mapping[str, tuple[str, int]]


IMAGE_FILES = Signature(
    "serve_bytes",
    "image_bytes",
    {"probabilities": ("float32", 2), "attributes": ("string", 2), "error": ("string", 1)},
)
"""Predicts image files; see `keras_faramtn.export.saved_model.write_serving_model`."""

RECORD = Signature("model_record", "request", {"record": ("string", 1), "image_size": ("int32", 2)})
"""Describes the model, whatever the input is: its record in JSON, see `record_to_json`, and the
height and width of its images."""
