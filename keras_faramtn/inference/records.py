"""What the record of a model is read from: the model's file, or the list of labels beside it."""

from collections.abc import Sequence
from pathlib import Path

from keras_faramtn.attributes import check_names, single_group
from keras_faramtn.errors import InputError, reason
from keras_faramtn.model_record import ModelRecord, record_from_json

LABELS_FILE = "labels.txt"
"""The attributes in the order of the probabilities, one per line. It is in the export's folder, and
inside each TFLite file, which is a zip archive too."""


def parse_record(content: bytes, source: Path) -> ModelRecord:
    """The record of a model, from JSON.

    Args:
        content: what `record_to_json` wrote, in UTF-8.
        source: the file that contains it.

    Raises:
        InputError: it is damaged.
    """
    try:
        return record_from_json(content.decode())
    except (UnicodeDecodeError, InputError) as error:
        raise InputError(
            f"{source}: the record of the model is damaged: {reason(error)}; export it again."
        ) from error


def parse_labels(content: bytes, source: Path) -> ModelRecord:
    """A record with one group and without a framing, from a list of labels.

    Args:
        content: the names of the attributes in the order of the probabilities, one per line, in
            UTF-8.
        source: the file that contains them.

    Raises:
        InputError: it is damaged, or as in `check_names`.
    """
    try:
        names = check_names(content.decode("utf-8-sig").rstrip().splitlines())
        return ModelRecord(single_group(names))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source}: the names of the attributes are not in UTF-8: {reason(error)}."
        ) from error
    except InputError as error:
        raise InputError(f"{source}: the names of the attributes: {error}") from error


def read_labels_beside(model: Path) -> ModelRecord:
    """As `parse_labels`, from a `LABELS_FILE` in the folder of a model or in its parent folder.

    Raises:
        InputError: there is no such file, or as in `parse_labels`.
    """
    for folder in (model.parent, model.parent / ".."):
        if (folder / LABELS_FILE).is_file():
            return parse_labels((folder / LABELS_FILE).read_bytes(), folder / LABELS_FILE)
    raise InputError(
        f"{model}: the names of the attributes are missing; put a {LABELS_FILE} into its "
        "folder that lists them in the order of the outputs, one per line."
    )


def check_outputs(record: ModelRecord, model: Path, outputs: int) -> None:
    """Checks that a model predicts as many numbers as its record names attributes.

    Raises:
        InputError: it predicts more or fewer.
    """
    attributes: Sequence[str] = record.groups.attributes
    if len(attributes) != outputs:
        raise InputError(
            f"{model}: its labels name {len(attributes)} attributes, but it predicts {outputs}; "
            "keep the files of one export together."
        )
