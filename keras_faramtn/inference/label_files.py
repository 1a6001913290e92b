"""The files that describe the predictions of exported files."""

import zipfile
from pathlib import Path

from keras_faramtn.attributes import check_names
from keras_faramtn.errors import InputError, reason

LABELS_FILE = "labels.txt"
"""The attributes in the order of the probabilities, one per line. It is in the export's folder, and
inside each TFLite file, which is a zip archive too."""

GROUPS_FILE = "groups.json"
"""An object from each group to its attributes, in the export's folder."""


def read_labels(model_file: Path) -> tuple[Path, tuple[str, ...]]:
    """The names of the attributes that a TFLite file predicts, in the order of its outputs.

    Args:
        model_file: a `.tflite` file that contains `LABELS_FILE`, or has it in its folder or its
            parent folder.

    Returns:
        The file that contains the names, and the names.

    Raises:
        InputError: there is no such file, or it is damaged; or as in `check_names`.
    """
    labels_file, content = _find_labels(model_file)
    try:
        return labels_file, check_names(content.decode("utf-8-sig").rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise InputError(
            f"{labels_file}: the names of the attributes are not in UTF-8: {reason(error)}."
        ) from error
    except InputError as error:
        raise InputError(f"{labels_file}: the names of the attributes: {error}") from error


def _find_labels(model_file: Path) -> tuple[Path, bytes]:
    try:
        if zipfile.is_zipfile(model_file):  # exported files have the labels in an appended archive
            with zipfile.ZipFile(model_file) as archive:
                if LABELS_FILE in archive.namelist():
                    return model_file, archive.read(LABELS_FILE)
    except Exception as error:  # damaged archives raise almost any exception
        raise InputError(
            f"{model_file}: the archive with the names of the attributes is damaged: "
            f"{reason(error)}; export the file again."
        ) from error
    for folder in (model_file.parent, model_file.parent / ".."):
        if (folder / LABELS_FILE).is_file():
            return folder / LABELS_FILE, (folder / LABELS_FILE).read_bytes()
    raise InputError(
        f"{model_file}: the names of the attributes are missing; put a {LABELS_FILE} into its "
        "folder that lists them in the order of the outputs, one per line."
    )
