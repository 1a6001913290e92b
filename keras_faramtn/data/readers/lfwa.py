"""LFWA: the images of Labeled Faces in the Wild with CelebA's 40 attributes."""

import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import h5py
import numpy as np
import scipy.io

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.splits import hold_out
from keras_faramtn.data.table import SPLITS, FaceTable, Problem, refuse
from keras_faramtn.errors import InputError

_LABELS = "lfw_att_40.mat"
_SPLIT = "indices_train_test.mat"
_IMAGES = ("lfw", "lfw-deepfunneled", "lfw-funneled", "lfw_funneled")
_OFFICIAL_PARTS = {"train": "indices_img_train", "test": "indices_img_test"}
_NO_PART = -1


def is_lfwa(place: Path) -> bool:
    """Whether LFWA's label file is in the folder or in one within it."""
    return _find(place, _LABELS) is not None


def read_lfwa(
    folder: str | Path,
    attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    *,
    skip_bad: bool = False,
) -> tuple[FaceTable, list[Problem]]:
    """Reads labels and splits of LFWA (Liu, Luo, Wang and Tang, ICCV 2015).

    The folder holds `lfw_att_40.mat` and `indices_train_test.mat`, itself or one folder deeper,
    and the images as `lfw/PERSON/PERSON_0001.jpg` (or `lfw-deepfunneled`, or `lfw-funneled`).
    The official files are MATLAB's version 7.3, which is HDF5; older versions are read too.

    The test split is the official one. LFWA has no validation split: a tenth of the official
    training images is held out for it, always the same, and no person of it is in training.

    Args:
        folder: the data set's folder.
        attributes: the names that the file must have, in any order and whether written with blanks
            or underscores; the table has this order.
        skip_bad: leave out rows that can't be used, instead of refusing the file.

    Returns:
        The table, its `lines` the rows of `label` from 1, and the problems of the rows left out.

    Raises:
        InputError: a missing folder or file, one that MATLAB didn't write or without the
            variables, other attributes, sizes that don't fit together, an index out of range, no
            usable row; and without `skip_bad` a label other than 1 or 0, or an image that is in
            both splits or in none.
    """
    folder = Path(folder)
    labels_file, split_file = _need(folder, _LABELS), _need(folder, _SPLIT)
    image_folder = _image_folder(folder)
    content = _read_mat(labels_file, ("AttrName", "label", "name"))
    names = [_text(name) for name in content["AttrName"]]
    images = [_text(name) for name in content["name"]]
    labels = np.atleast_2d(np.asarray(content["label"], "float64"))
    if labels.shape != (len(images), len(names)):
        raise InputError(
            f"{labels_file}: label is {labels.shape[0]} x {labels.shape[1]}, but there are "
            f"{len(images)} images and {len(names)} attributes; get the file anew."
        )
    columns = _columns(labels_file, names, attributes)
    splits, in_both = _official_splits(split_file, len(images))

    good, problems = [], []
    for row, image in enumerate(images):
        message = _row_message(image, labels[row], splits[row], in_both[row])
        if message:
            problems.append(Problem(labels_file, row + 1, message, unit="row"))
        else:
            good.append(row)
    if not skip_bad:
        refuse(problems)
    if not good:
        raise InputError(f"{labels_file}: there is no usable row in this file.")
    # The names are written as on Windows: PERSON\\PERSON_0001.jpg.
    paths = [image_folder.joinpath(*PureWindowsPath(images[row]).parts) for row in good]
    table = FaceTable(
        attributes=tuple(attributes),
        paths=tuple(paths),
        labels=labels[good][:, columns].astype("int8"),
        splits=_with_validation(splits[good], [path.parent.name for path in paths]),
        source=labels_file,
        lines=np.array(good) + 1,
        unit="row",
    )
    return table, problems


def _find(folder: Path, name: str) -> Path | None:
    return next((file for at in ("", "*/") for file in sorted(folder.glob(at + name))), None)


def _need(folder: Path, name: str) -> Path:
    file = _find(folder, name)
    if file is None:
        raise InputError(f"{folder / name}: this file of LFWA is missing; put it there.")
    return file


def _image_folder(folder: Path) -> Path:
    for name in _IMAGES:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(
        f"{folder / _IMAGES[0]}: the folder of the images is missing; unpack lfw.tgz there."
    )


def _read_mat(path: Path, variables: Sequence[str]) -> dict[str, Any]:
    """Variables of a MATLAB file: cells as lists of arrays, matrices as MATLAB shows them."""
    read = _read_mat_hdf5 if h5py.is_hdf5(path) else _read_mat_old
    try:
        content = read(path, variables)
    except Exception as error:  # a damaged file makes the readers fail in many ways
        raise InputError(f"{path}: this is no MATLAB file: {error}; get it anew.") from error
    missing = [name for name in variables if name not in content]
    if missing:
        raise InputError(f"{path}: there is no variable {', '.join(missing)} in it; get it anew.")
    return content


def _read_mat_old(path: Path, variables: Sequence[str]) -> dict[str, Any]:
    content = scipy.io.loadmat(path, variable_names=variables)
    return {
        name: list(value.ravel()) if value.dtype.kind in "OU" else value
        for name, value in content.items()
        if name in variables
    }


def _read_mat_hdf5(path: Path, variables: Sequence[str]) -> dict[str, Any]:
    with h5py.File(path) as file:
        content = {name: file[name][()] for name in variables if name in file}
        return {
            # MATLAB stores by columns and HDF5 by rows.
            name: [file[reference][()].T for reference in value.ravel()]
            if h5py.check_ref_dtype(value.dtype)
            else value.T
            for name, value in content.items()
        }


def _text(cell: Any) -> str:
    """The text in a cell: one string, or the codes of its characters."""
    values = np.asarray(cell).ravel()
    return "".join(v if isinstance(v, str) else chr(int(v)) for v in values.tolist()).strip()


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def _columns(path: Path, names: list[str], attributes: Sequence[str]) -> list[int]:
    known = [_plain(name) for name in names]
    missing = [attribute for attribute in attributes if known.count(_plain(attribute)) != 1]
    if missing or len(known) != len(attributes):
        raise InputError(
            f"{path}: AttrName must have each of the {len(attributes)} attributes once; wrong: "
            f"{', '.join(missing) or f'it has {len(known)}'}."
        )
    return [known.index(_plain(attribute)) for attribute in attributes]


def _official_splits(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The split of each row, and whether it is in both."""
    content = _read_mat(path, tuple(_OFFICIAL_PARTS.values()))
    splits = np.full(count, _NO_PART, "int8")
    times = np.zeros(count, int)
    for split, variable in _OFFICIAL_PARTS.items():
        rows = np.unique(np.asarray(content[variable]).astype(int)) - 1  # MATLAB counts from 1
        if len(rows) and (rows[0] < 0 or rows[-1] >= count):
            raise InputError(
                f"{path}: {variable} goes from {rows[0] + 1} to {rows[-1] + 1}, but {_LABELS} has "
                f"{count} images; get both from the same place."
            )
        splits[rows] = SPLITS[split]
        times[rows] += 1
    return splits, times > 1


def _row_message(image: str, labels: np.ndarray, split: int, in_both: bool) -> str | None:
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        return f"{image} has the value {wrong[0]:g}; a label is 1 or 0."
    if in_both:
        return f"{image} is in the training and in the test split of {_SPLIT}."
    if split == _NO_PART:
        return f"{image} is in no split of {_SPLIT}."
    return None


def _with_validation(splits: np.ndarray, people: Sequence[str]) -> np.ndarray:
    splits = splits.copy()
    training = np.flatnonzero(splits == SPLITS["train"])
    held_out = hold_out([people[row] for row in training])
    splits[training[held_out]] = SPLITS["validation"]
    return splits
