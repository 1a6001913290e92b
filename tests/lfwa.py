"""Writes small data sets in the layout of LFWA."""

import h5py
import numpy as np
import scipy.io
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES

LABELS, SPLIT = "lfw_att_40.mat", "indices_train_test.mat"

# Fourteen people with four images each; the last four people are for test.
PEOPLE = [f"Some_One{n}" for n in range(14)]
IMAGES = [rf"{person}\{person}_{n:04d}.jpg" for person in PEOPLE for n in range(1, 5)]
ORDER = np.random.default_rng(5).permutation(40)
NAMES = [CELEBA_ATTRIBUTES[column].replace("_", " ") for column in ORDER]


def lfwa_values():
    return np.random.default_rng(6).integers(0, 2, (len(IMAGES), 40)).astype(float)


def _cell(texts):
    cell = np.empty((len(texts), 1), object)
    cell[:, 0] = texts
    return cell


def write_old(path, content):
    scipy.io.savemat(path, {k: _cell(v) if isinstance(v, list) else v for k, v in content.items()})


def write_hdf5(path, content):
    """Like MATLAB's -v7.3: after a header of 512 bytes, columns first, texts by reference."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            if isinstance(value, list):
                references = np.empty((1, len(value)), h5py.ref_dtype)
                for n, text in enumerate(value):
                    codes = np.array([[ord(c)] for c in text], "uint16")
                    references[0, n] = file.create_dataset(f"#refs#/{name}{n}", data=codes).ref
                file.create_dataset(name, data=references)
            else:
                file[name] = value.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64, CREATED BY HAND")


def write_lfwa(folder, write=write_old, *, names=NAMES, values=None, train=None, test=None):
    folder.mkdir(parents=True, exist_ok=True)
    values = lfwa_values() if values is None else values
    train = np.arange(1, 41) if train is None else train
    test = np.arange(41, 57) if test is None else test
    write(folder / LABELS, {"AttrName": list(names), "label": values, "name": IMAGES})
    split = {"indices_img_train": train[:, None], "indices_img_test": test[:, None]}
    write(folder / SPLIT, {k: v.astype(float) for k, v in split.items()})
    for image in IMAGES:
        path = folder / "lfw" / image.replace("\\", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (25, 25), (len(image), 90, 60)).save(path)
    return folder
