import numpy as np
import pytest
import scipy.io
from lfwa import LABELS, NAMES, ORDER, SPLIT, lfwa_values, write_hdf5, write_lfwa, write_old

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.check import check_images
from keras_faramtn.data.readers.lfwa import read_lfwa
from keras_faramtn.errors import InputError


@pytest.mark.parametrize("write", [write_old, write_hdf5])
def test_labels_splits_and_paths(tmp_path, write):
    table = read_lfwa(write_lfwa(tmp_path / "lfwa", write))
    assert table.problems == ()
    assert table.attributes == CELEBA_ATTRIBUTES
    np.testing.assert_array_equal(table.labels[:, ORDER], lfwa_values())
    assert table.labels.dtype == table.splits.dtype == "int8"
    assert table.paths[5] == tmp_path / "lfwa" / "lfw" / "Some_One1" / "Some_One1_0002.jpg"
    assert table.lines.tolist() == list(range(1, 57))
    assert (table.splits == 2).tolist() == [False] * 40 + [True] * 16


def test_validation_is_a_tenth_of_training_with_other_people(tmp_path):
    table = read_lfwa(write_lfwa(tmp_path))
    assert np.bincount(table.splits).tolist() == [36, 4, 16]
    people = [image.parent.name for image in table.paths]
    validation = {p for p, split in zip(people, table.splits, strict=True) if split == 1}
    others = {p for p, split in zip(people, table.splits, strict=True) if split != 1}
    assert len(validation) == 1
    assert not validation & others
    again = read_lfwa(tmp_path)
    np.testing.assert_array_equal(again.splits, table.splits)


def test_label_files_in_a_subfolder_and_deepfunneled_images(tmp_path):
    write_lfwa(tmp_path)
    (tmp_path / "anno").mkdir()
    for name in (LABELS, SPLIT):
        (tmp_path / name).rename(tmp_path / "anno" / name)
    (tmp_path / "lfw").rename(tmp_path / "lfw-deepfunneled")
    table = read_lfwa(tmp_path)
    assert check_images(table, progress=False).problems == ()


def test_a_missing_image_is_named_with_its_row(tmp_path):
    table = read_lfwa(write_lfwa(tmp_path))
    table.paths[6].unlink()
    with pytest.raises(
        InputError, match=r"lfw_att_40\.mat, row 7: .*Some_One1_0003.jpg does not exist"
    ):
        check_images(table, progress=False)


def test_invalid_rows_are_named_and_can_be_skipped(tmp_path):
    values = lfwa_values()
    values[2, 3] = 3
    values[4, 0] = np.nan
    write_lfwa(tmp_path, values=values, train=np.arange(2, 41), test=np.arange(40, 57))
    with pytest.raises(InputError) as error:
        read_lfwa(tmp_path)
    lines = str(error.value).splitlines()
    assert "row 1: Some_One0\\Some_One0_0001.jpg is in no split of indices_train" in lines[0]
    assert "row 3: Some_One0\\Some_One0_0003.jpg has the value 3; a label is 1 or 0" in lines[1]
    assert "row 5: Some_One1\\Some_One1_0001.jpg has the value nan" in lines[2]
    assert "row 40: " in lines[3]
    assert "is in both the training and the test split" in lines[3]
    table = read_lfwa(tmp_path, skip_bad=True)
    assert table.lines.tolist() == sorted(set(range(1, 57)) - {1, 3, 5, 40})
    assert len(table.problems) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"test": np.arange(41, 58)},
            "indices_img_test ranges from 41 to 57, but .* has 56 images",
        ),
        ({"train": np.arange(40)}, "indices_img_train ranges from 0 to 39"),
        (
            {"names": ["Odd", *NAMES[1:]]},
            f"each of the 40 .* wrong: {NAMES[0][:4]}",
        ),
        ({"names": [*NAMES, "Odd"]}, "label is 56 x 40, but there are 56 images and 41"),
        ({"values": lfwa_values().T}, "label is 40 x 56, but"),
    ],
)
def test_files_that_do_not_match(tmp_path, changes, message):
    write_lfwa(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        read_lfwa(tmp_path, skip_bad=True)


def test_attributes_that_were_not_asked_for_are_columns(tmp_path):
    values = np.column_stack([lfwa_values(), np.arange(56) % 2])
    write_lfwa(tmp_path, names=[*NAMES, "Odd one"], values=values)
    table = read_lfwa(tmp_path, [name for name in CELEBA_ATTRIBUTES if name != "Wearing_Hat"])
    assert table.labels.shape == (56, 39)
    assert list(table.columns) == ["Wearing_Hat", "Odd one"]
    expected = lfwa_values()[:, NAMES.index("Wearing Hat")].astype(int).astype(str)
    assert table.columns["Wearing_Hat"].tolist() == expected.tolist()
    assert table.columns["Odd one"].tolist() == ["0", "1"] * 28


def test_missing_files_and_files_that_are_not_matlab_files(tmp_path):
    write_lfwa(tmp_path)
    (tmp_path / "lfw").rename(tmp_path / "renamed")
    with pytest.raises(InputError, match="lfw: the folder of the images is missing"):
        read_lfwa(tmp_path)
    (tmp_path / "renamed").rename(tmp_path / "lfw")
    split = (tmp_path / SPLIT).read_bytes()
    (tmp_path / SPLIT).unlink()
    with pytest.raises(InputError, match=r"indices_train_test\.mat: this file of LFWA is missing"):
        read_lfwa(tmp_path)
    scipy.io.savemat(tmp_path / SPLIT, {"indices_identity_train": np.arange(3)})
    with pytest.raises(InputError, match="no variable indices_img_train, indices_img_test"):
        read_lfwa(tmp_path)
    for content in (b"not a MATLAB file", split[:150], b""):
        (tmp_path / SPLIT).write_bytes(content)
        with pytest.raises(InputError, match=r"indices_train_test\.mat: .*download it again"):
            read_lfwa(tmp_path)
