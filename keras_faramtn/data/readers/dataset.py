"""Every kind of data set that can be read, recognised by what is there."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from keras_faramtn.data.readers.celeba import is_celeba, read_celeba
from keras_faramtn.data.readers.csv_table import is_csv_table, read_csv_table
from keras_faramtn.data.readers.lfwa import is_lfwa, read_lfwa
from keras_faramtn.data.table import FaceTable, Problem
from keras_faramtn.errors import InputError


class Source(NamedTuple):
    """One kind of data set.

    Attributes:
        recognise: whether a folder or file is of this kind.
        read: reads it; called with the place, the attributes or nothing, and `skip_bad`.
        looks_like: what is looked for, for people.
    """

    recognise: Callable[[Path], bool]
    read: Callable[..., tuple[FaceTable, list[Problem]]]
    looks_like: str


SOURCES: dict[str, Source] = {
    "CelebA": Source(is_celeba, read_celeba, "a folder with CelebA's list_attr_celeba.txt or .csv"),
    "LFWA": Source(is_lfwa, read_lfwa, "a folder with LFWA's lfw_att_40.mat"),
    "own": Source(
        is_csv_table, read_csv_table, "a .csv file of attributes, or a folder with attributes.csv"
    ),
}
"""The kinds, the first that recognises a place reads it."""


def read_dataset(
    place: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> tuple[FaceTable, list[Problem]]:
    """Reads labels and splits of a data set of any kind (`SOURCES`).

    Args:
        place: its folder or file.
        attributes: those that the table must have, in its order; None for those that the data set
            has: CelebA's 40, or the columns of one's own file.
        skip_bad: leave out rows that can't be used, instead of refusing the file.

    Returns:
        The table, and the problems of the rows left out (none without `skip_bad`).

    Raises:
        InputError: nothing of a known kind is there, or as the readers.
    """
    place = Path(place)
    if not place.exists():
        raise InputError(f"{place}: there is no such folder; give the folder of the data set.")
    chosen = () if attributes is None else (attributes,)
    for source in SOURCES.values():
        if source.recognise(place):
            return source.read(place, *chosen, skip_bad=skip_bad)
    looked_for = "; ".join(source.looks_like for source in SOURCES.values())
    raise InputError(f"{place}: this is no data set of a known kind; looked for {looked_for}.")
