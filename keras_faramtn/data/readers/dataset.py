"""Reads a data set of any supported kind; recognises the kind by the files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from keras_faramtn.data.readers.celeba import is_celeba, read_celeba
from keras_faramtn.data.readers.csv_table import is_csv_table, read_csv_table
from keras_faramtn.data.readers.lfwa import is_lfwa, read_lfwa
from keras_faramtn.data.table import UNKNOWN, FaceTable
from keras_faramtn.errors import InputError, reason


class DatasetKind(NamedTuple):
    """A kind of data set.

    Attributes:
        recognise: whether a folder or file is of this kind.
        read: reads it; called with the path, the attributes if given, and `skip_bad`.
        files: the files by which it is recognised, for error messages.
    """

    recognise: Callable[[Path], bool]
    read: Callable[..., FaceTable]
    files: str


KINDS: dict[str, DatasetKind] = {
    "CelebA": DatasetKind(
        is_celeba, read_celeba, "a folder with CelebA's list_attr_celeba.txt or .csv"
    ),
    "LFWA": DatasetKind(is_lfwa, read_lfwa, "a folder with LFWA's lfw_att_40.mat"),
    "CSV": DatasetKind(
        is_csv_table, read_csv_table, "a .csv file of attributes, or a folder with attributes.csv"
    ),
}
"""The supported kinds. The first that recognises the data set reads it."""


def read_dataset(
    source: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> FaceTable:
    """Reads the labels and splits of a data set of any supported kind.

    The kinds are CelebA (`read_celeba`), LFWA (`read_lfwa`) and a CSV file of custom attributes
    (`read_csv_table`). The images are not opened; `check_images` does that.

    Args:
        source: the folder or file of the data set.
        attributes: the attributes of the table, in this order; None for those of the data set:
            CelebA's 40, or the columns of a CSV file.
        skip_bad: skip invalid rows, instead of raising an error.

    Returns:
        The table of the valid rows; what was skipped is in its `problems`.

    Raises:
        InputError: `source` does not exist or is not of a supported kind; every label is unknown;
            or as in the readers.

    Example:
        >>> import tempfile
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = synthesize(folder, 4, image_size=(64, 64), progress=False)
        ...     table = read_dataset(folder)
        >>> len(table), table.labels.shape, len(table.split("train"))
        (4, (4, 40), 2)
    """
    source = Path(source)
    try:
        exists = source.exists()
    except OSError as error:
        raise InputError(f"{source}: can't be read: {reason(error)}.") from error
    if not exists:
        raise InputError(f"{source}: there is no such file or folder; correct the path.")
    arguments = () if attributes is None else (attributes,)
    for kind in KINDS.values():
        if kind.recognise(source):
            table = kind.read(source, *arguments, skip_bad=skip_bad)
            if not (table.labels != UNKNOWN).any():
                raise InputError(
                    f"{table.source}: every label is unknown; write 1 for present and, in a file "
                    "of CelebA, -1 for absent, otherwise 0."
                )
            return table
    files = "; ".join(kind.files for kind in KINDS.values())
    raise InputError(f"{source}: this is not a supported data set; looked for {files}.")
