"""Data sets of photographs become data sets of face crops."""

import csv
import logging
import shutil

import numpy as np
import pytest
from conftest import write_csv_table
from PIL import Image
from scenes import DRAWN_FRAMING, compose

from keras_faramtn import crop_dataset, measure_framing, read_dataset, synthesize
from keras_faramtn.data.check import check_data
from keras_faramtn.errors import InputError
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING

ROWS = [  # image, split, person, labels; and the number of faces in it
    ("b/one.jpg", "train", "ann", "1", "", 1),
    ("a/one.png", "validation", "bob", "0", "1", 1),
    ("none.jpg", "train", "ann", "1", "1", 0),
    ("two.jpg", "test", "", "0", "0", 2),
    ("turned.jpg", "test", "eve", "", "0", 1),
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A table of photographs of drawn faces."""
    folder = tmp_path_factory.mktemp("photographs")
    header = ["image", "split", "person", "Happy", "age", "Wearing_Scarf"]
    ages = ("20-29", "", "40-49", "50-59", "60, or more")
    rows = [(*row[:4], age, row[4]) for row, age in zip(ROWS, ages, strict=True)]
    file = write_csv_table(folder, header, rows, images="images")
    for number, (name, *_, count) in enumerate(ROWS):
        size = (320, 300)
        image, faces = compose(40 + number, size, count, face_sizes=(60, 80), max_angle=15)
        assert len(faces) == count
        if name == "turned.jpg":  # stored rotated, as by a phone
            exif = Image.Exif()
            exif[0x0112] = 6
            image.rotate(90, expand=True).save(folder / "images" / name, exif=exif, quality=95)
        else:
            image.save(folder / "images" / name)
    return file


def _report(folder):
    with (folder / "photographs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_crops_have_the_labels_and_splits_of_their_photographs(photographs, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        count = crop_dataset(photographs, tmp_path / "crops", progress=False)
    assert count == 3
    table = check_data(tmp_path / "crops")
    assert [path.name for path in table.paths] == ["000001.jpg", "000002.jpg", "000005.jpg"]
    assert table.attributes == ("Happy", "Wearing_Scarf")
    assert table.labels.tolist() == [[1, -1], [0, 1], [-1, 0]]
    assert table.splits.tolist() == [0, 1, 2]
    assert table.columns["age"].tolist() == ["20-29", "", "60, or more"]
    assert {Image.open(path).size for path in table.paths} == {(178, 218)}
    framing = measure_framing(table)
    for name in ("left_eye", "right_eye", "mouth"):
        expected = getattr(CELEBA_FRAMING, name)
        np.testing.assert_allclose(getattr(framing, name), expected, atol=0.04)
    report = _report(tmp_path / "crops")
    assert [row["faces"] for row in report] == [str(row[-1]) for row in ROWS]
    assert [row["crop"] for row in report][1:3] == ["images/000002.jpg", ""]
    assert report[3]["problem"].endswith("two.jpg shows 2 faces.")
    assert "attributes.csv, line 4: " in caplog.text
    assert "none.jpg shows no face" in caplog.text
    counts = "Photographs without a face: 1; with several faces: 1; other problems: 0."
    assert f"problems: 2. {counts}" in caplog.text


def test_a_folder_without_labels_and_another_framing(photographs, tmp_path):
    folder = tmp_path / "crops"
    count = crop_dataset(
        photographs.parent / "images", folder, BOX_FRAMING, (48, 64), progress=False
    )
    assert count == 3
    assert sorted(path.name for path in folder.iterdir()) == ["images", "photographs.csv"]
    crops = sorted((folder / "images").iterdir())
    assert {Image.open(crop).size for crop in crops} == {(64, 48)}
    framing = measure_framing(crops)  # wider than BOX_FRAMING, and not stretched
    assert framing.aspect == pytest.approx(64 / 48, abs=1e-3)
    eyes = np.subtract(framing.right_eye, framing.left_eye)
    height = framing.mouth[1] - framing.left_eye[1]
    assert eyes[0] * framing.aspect / height == pytest.approx(_eyes_to_height(), rel=0.2)
    by_name = {row["crop"].removeprefix("images/"): row["photograph"] for row in _report(folder)}
    assert [by_name[crop.name].rpartition("images/")[2] for crop in crops] == sorted(
        row[0] for row in ROWS if row[-1] == 1
    )


def _eyes_to_height():
    """The distance of the eyes of a drawn face, relative to that of eyes and mouth."""
    eyes = np.subtract(DRAWN_FRAMING.right_eye, DRAWN_FRAMING.left_eye)[0]
    height = DRAWN_FRAMING.mouth[1] - DRAWN_FRAMING.left_eye[1]
    return eyes * DRAWN_FRAMING.aspect / height


def test_a_data_set_of_celeba_keeps_its_attributes_and_splits(tmp_path):
    source = synthesize(tmp_path / "faces", 5, progress=False)
    before = read_dataset(source)
    assert crop_dataset(source, tmp_path / "crops", progress=False) == 5
    after = read_dataset(tmp_path / "crops", before.attributes)
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.splits, before.splits)


def test_an_unreadable_photograph_stops_it_or_is_skipped(photographs, tmp_path):
    folder = tmp_path / "photographs"
    (folder / "images").mkdir(parents=True)
    shutil.copy(photographs.parent / "images/b/one.jpg", folder / "images/a.jpg")
    (folder / "images" / "b.jpg").write_bytes(b"no image")
    (folder / "attributes.csv").write_text("image,Happy\na.jpg,1\nb.jpg,0\nc.jpg,0\n,1\n")
    with pytest.raises(InputError, match=r"line 5: the row has no image(.|\n)*--skip-bad"):
        crop_dataset(folder, tmp_path / "crops", progress=False)
    (folder / "attributes.csv").write_text("image,Happy\na.jpg,1\nb.jpg,0\nc.jpg,0\n")
    with pytest.raises(InputError, match=r"b\.jpg: this file can't be read(.|\n)*--skip-bad"):
        crop_dataset(folder, tmp_path / "crops", progress=False)
    assert not (tmp_path / "crops").exists()
    assert crop_dataset(folder, tmp_path / "crops", skip_bad=True, progress=False) == 1
    report = _report(tmp_path / "crops")
    assert [row["faces"] for row in report] == ["1", "", ""]
    assert "no such image" in report[2]["problem"]


def test_nothing_to_crop_and_folders_in_use_are_refused(photographs, tmp_path):
    (tmp_path / "source").mkdir()
    Image.new("RGB", (60, 50)).save(tmp_path / "source" / "grey.png")
    with pytest.raises(InputError, match="no photograph has exactly one face"):
        crop_dataset(tmp_path / "source", tmp_path / "crops", progress=False)
    assert not (tmp_path / "crops").exists()
    with pytest.raises(InputError, match="already exists"):
        crop_dataset(photographs, tmp_path, progress=False)
    inside = photographs.parent / "images" / "crops"
    with pytest.raises(InputError, match=r"would be found in .*images the next time"):
        crop_dataset(photographs.parent / "images", inside, progress=False)
    assert not inside.exists()
    with pytest.raises(InputError, match="no such file or folder"):
        crop_dataset(tmp_path / "missing", tmp_path / "crops", progress=False)
