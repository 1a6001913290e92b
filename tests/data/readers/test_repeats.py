"""One image under two spellings of its path is listed twice, in every kind of data set."""

import numpy as np
import pytest
import scipy.io
from conftest import write_celeba, write_csv_table
from lfwa import LABELS, write_lfwa

from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.data.readers.csv_table import read_csv_table
from keras_faramtn.data.readers.lfwa import read_lfwa
from keras_faramtn.data.readers.repeats import ImageFiles
from keras_faramtn.errors import InputError


def _csv(folder, *images):
    file = write_csv_table(folder, ["image", "Happy"], [["sub/a.jpg", "1"], ["b.jpg", "0"]])
    with file.open("a") as text:
        text.writelines(f"{image},0\n" for image in images)
    return file


@pytest.mark.parametrize("spelling", ["./b.jpg", "sub/../b.jpg", "link.jpg", "folder/b.jpg", "{}"])
def test_spellings_in_a_csv_file(tmp_path, spelling):
    spelling = spelling.format(tmp_path / "b.jpg")
    file = _csv(tmp_path, spelling, "c.jpg")
    (tmp_path / "link.jpg").symlink_to("b.jpg")
    (tmp_path / "folder").symlink_to(tmp_path)
    with pytest.raises(InputError, match=rf"line 4: .*{spelling} is listed twice; keep one row"):
        read_csv_table(file)
    table = read_csv_table(file, skip_bad=True)
    assert [path.name for path in table.paths] == ["a.jpg", "b.jpg", "c.jpg"]


def test_images_of_one_name_in_two_folders_are_two_images(tmp_path):
    table = read_csv_table(_csv(tmp_path, "a.jpg", "B.jpg"))
    assert len(table) == 4


def test_on_a_file_system_that_ignores_case_two_cases_are_one_file(tmp_path, monkeypatch):
    def same_file(path, other):
        return path.casefold() == other.casefold()

    monkeypatch.setattr("os.path.samefile", same_file)
    files = ImageFiles()
    assert [files.add(tmp_path / name) for name in ("a.jpg", "A.jpg", "b.jpg", "a.JPG")] == [
        *(True, False, True, False)
    ]


def test_celeba(tmp_path):
    folder = write_celeba(tmp_path / "celeba", [[1, -1], [-1, 1]], [0, 2], names=["hat", "happy"])
    labels, splits = folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"
    labels.write_text(labels.read_text().replace("2\n", "3\n", 1) + "./000001.jpg -1 -1\n")
    splits.write_text(splits.read_text() + "./000001.jpg 2\n")
    with pytest.raises(InputError, match=r"line 5: \./000001\.jpg is listed twice"):
        read_celeba(folder, ["hat", "happy"])


def test_lfwa(tmp_path):
    folder = write_lfwa(tmp_path)
    content = scipy.io.loadmat(folder / LABELS)
    content["name"][9] = content["name"][2]
    names = {name: content[name] for name in ("AttrName", "label", "name")}
    scipy.io.savemat(folder / LABELS, names)
    with pytest.raises(InputError, match=r"row 10: .*0003\.jpg is listed twice"):
        read_lfwa(folder)
    assert 10 not in np.asarray(read_lfwa(folder, skip_bad=True).lines)
