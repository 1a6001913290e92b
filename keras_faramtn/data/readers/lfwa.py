"""Reads LFWA: the images of Labeled Faces in the Wild with CelebA's 40 attributes."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import h5py
import numpy as np
import scipy.io

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, check_names
from keras_faramtn.data.readers.repeats import ImageFiles
from keras_faramtn.data.readers.splits import hold_out
from keras_faramtn.data.table import (
    SPLITS,
    FaceTable,
    Problem,
    labels_as_text,
    refuse_problems,
)
from keras_faramtn.errors import InputError, reason

_LABELS_FILE = "lfw_att_40.mat"
_SPLITS_FILE = "indices_train_test.mat"
_IMAGE_FOLDERS = ("lfw", "lfw-deepfunneled", "lfw-funneled", "lfw_funneled")
_OFFICIAL_SPLITS = {"train": "indices_img_train", "test": "indices_img_test"}
_NO_SPLIT = -1


def is_lfwa(folder: Path) -> bool:
    """Whether LFWA's label file is in the folder or in one of its subfolders."""
    return _find(folder, _LABELS_FILE) is not None


def read_lfwa(
    folder: str | Path,
    attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    *,
    skip_bad: bool = False,
) -> FaceTable:
    """Reads the labels and splits of LFWA (Liu, Luo, Wang and Tang, ICCV 2015).

    The folder, or a subfolder, contains `lfw_att_40.mat` and `indices_train_test.mat`; the folder
    contains the images as `lfw/PERSON/PERSON_0001.jpg` (or `lfw-deepfunneled`, or `lfw-funneled`).
    The official `.mat` files are in MATLAB's format 7.3, which is HDF5; older formats are read too.

    The test split is the official one. LFWA has no validation split, so a tenth of the official
    training images is held out for validation. The choice is reproducible, and no person is
    in both splits.

    Args:
        folder: the folder of the data set.
        attributes: the attributes that the file must have, in any order, written with spaces or
            underscores; the table has this order. Others that the file has are in the table's
            `columns`.
        skip_bad: skip invalid rows, instead of raising an error.

    Returns:
        The table of the valid rows; its `lines` are the rows of the variable `label`, from 1. What
        was skipped is in its `problems`.

    Raises:
        InputError: a folder or file is missing; a file is not a MATLAB file or lacks a variable;
            the attributes, sizes or indices don't match; there is no valid row; or, without
            `skip_bad`, a label is neither 1 nor 0, or an image is in both splits or in none.
    """
    folder, attributes = Path(folder), check_names(attributes)
    labels_file, split_file = _need(folder, _LABELS_FILE), _need(folder, _SPLITS_FILE)
    image_folder = _image_folder(folder)
    content = _read_mat(labels_file, ("AttrName", "label", "name"))
    with _damage_explained(labels_file):
        names = [_text(name) for name in content["AttrName"]]
        images = [_text(name) for name in content["name"]]
        labels = np.atleast_2d(np.asarray(content["label"], "float64"))
    if labels.shape != (len(images), len(names)):
        raise InputError(
            f"{labels_file}: label is {labels.shape[0]} x {labels.shape[1]}, but there are "
            f"{len(images)} images and {len(names)} attributes; download the file again."
        )
    columns = _columns(labels_file, names, attributes)
    splits, in_both = _official_splits(split_file, len(images))

    # The names are Windows paths: PERSON\\PERSON_0001.jpg.
    paths = [image_folder.joinpath(*PureWindowsPath(image).parts) for image in images]
    valid, problems = [], []
    seen = ImageFiles()
    for row, image in enumerate(images):
        message = _row_message(image, labels[row], splits[row], in_both[row])
        if message is None and not seen.add(paths[row]):
            message = f"{image} is listed twice; remove one of its rows."
        if message:
            problems.append(Problem(labels_file, row + 1, message, unit="row"))
        else:
            valid.append(row)
    refuse_problems(problems, remaining=len(valid), skip_bad=skip_bad)
    if not valid:
        raise InputError(f"{labels_file}: there is no valid row in this file.")
    paths = [paths[row] for row in valid]
    values = labels[valid].astype("int8")
    return FaceTable(
        attributes=attributes,
        paths=tuple(paths),
        labels=values[:, columns],
        splits=_with_validation(splits[valid], [path.parent.name for path in paths]),
        source=labels_file,
        lines=np.array(valid) + 1,
        unit="row",
        columns={
            _NAMES.get(_plain(name), name): labels_as_text(values[:, column])
            for column, name in enumerate(names)
            if column not in columns
        },
        problems=tuple(problems),
    )


def _find(folder: Path, name: str) -> Path | None:
    return next((file for level in ("", "*/") for file in sorted(folder.glob(level + name))), None)


def _need(folder: Path, name: str) -> Path:
    file = _find(folder, name)
    if file is None:
        raise InputError(f"{folder / name}: this file of LFWA is missing; copy it there.")
    return file


def _image_folder(folder: Path) -> Path:
    for name in _IMAGE_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(
        f"{folder / _IMAGE_FOLDERS[0]}: the folder of the images is missing; unpack lfw.tgz there."
    )


def _read_mat(path: Path, variables: Sequence[str]) -> dict[str, Any]:
    """Variables of a MATLAB file: cell arrays as lists of arrays, matrices by rows."""
    read = _read_mat_hdf5 if h5py.is_hdf5(path) else _read_mat_old
    with _damage_explained(path):
        content = read(path, variables)
    missing = [name for name in variables if name not in content]
    if missing:
        raise InputError(f"{path}: it has no variable {', '.join(missing)}; download it again.")
    return content


@contextlib.contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # damaged files raise almost any exception
        raise InputError(
            f"{path}: this is not a MATLAB file of LFWA: {reason(error)}; download it again."
        ) from error


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
            # MATLAB stores matrices by columns and HDF5 by rows.
            name: [file[reference][()].T for reference in value.ravel()]
            if h5py.check_ref_dtype(value.dtype)
            else value.T
            for name, value in content.items()
        }


def _text(cell: Any) -> str:
    """The text in a cell, which contains one string or the codes of its characters."""
    values = np.asarray(cell).ravel()
    return "".join(v if isinstance(v, str) else chr(int(v)) for v in values.tolist()).strip()


def _plain(name: str) -> str:
    """The name in lower case, with underscores between its words."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


_NAMES = {_plain(name): name for name in CELEBA_ATTRIBUTES}  # as CelebA spells them


def _columns(path: Path, names: list[str], attributes: Sequence[str]) -> list[int]:
    known = [_plain(name) for name in names]
    missing = [attribute for attribute in attributes if known.count(_plain(attribute)) != 1]
    if missing:
        raise InputError(
            f"{path}: AttrName must have each of the {len(attributes)} attributes exactly once; "
            f"wrong: {', '.join(missing)}."
        )
    return [known.index(_plain(attribute)) for attribute in attributes]


def _official_splits(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The split of each row, and whether the row is in both splits."""
    content = _read_mat(path, tuple(_OFFICIAL_SPLITS.values()))
    splits = np.full(count, _NO_SPLIT, "int8")
    times = np.zeros(count, int)
    for split, variable in _OFFICIAL_SPLITS.items():
        with _damage_explained(path), np.errstate(invalid="raise"):  # NaN is not a number of a row
            rows = np.unique(np.asarray(content[variable]).astype(int)) - 1  # MATLAB counts from 1
        if len(rows) and (rows[0] < 0 or rows[-1] >= count):
            raise InputError(
                f"{path}: {variable} ranges from {rows[0] + 1} to {rows[-1] + 1}, but "
                f"{_LABELS_FILE} has {count} images; get both files from the same source."
            )
        splits[rows] = SPLITS[split]
        times[rows] += 1
    return splits, times > 1


def _row_message(image: str, labels: np.ndarray, split: int, in_both: bool) -> str | None:
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        return f"{image} has the value {wrong[0]:g}; a label is 1 or 0."
    if in_both:
        return f"{image} is in both the training and the test split of {_SPLITS_FILE}."
    if split == _NO_SPLIT:
        return f"{image} is in no split of {_SPLITS_FILE}."
    return None


def _with_validation(splits: np.ndarray, people: Sequence[str]) -> np.ndarray:
    splits = splits.copy()
    training = np.flatnonzero(splits == SPLITS["train"])
    held_out = hold_out([people[row] for row in training.tolist()])
    splits[training[held_out]] = SPLITS["validation"]
    return splits
