import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import random_labels, write_celeba

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError

LABELS = "list_attr_celeba.txt"
SPLITS = "list_eval_partition.txt"


def _edit(path, line, text):
    """Replaces line `line`, counted from 1, by `text`; None removes it."""
    lines = path.read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n")


def _assert_table(table, image_folder, labels):
    assert table.attributes == CELEBA_ATTRIBUTES
    np.testing.assert_array_equal(table.labels, np.choose(labels + 1, [0, -1, 1]))
    assert table.labels.dtype == "int8"
    assert table.splits.tolist() == [0] * 12 + [1] * 5 + [2] * 3
    assert table.paths[3] == image_folder / "000004.jpg"
    assert all(image.is_file() for image in table.paths)


def test_torchvisions_flat_folder(celeba_folder):
    table = read_celeba(celeba_folder)
    assert table.problems == ()
    _assert_table(table, celeba_folder / "img_align_celeba", random_labels(20))
    assert table.lines.tolist() == list(range(3, 23))


def test_the_official_folder(celeba_folder, tmp_path):
    official = tmp_path / "official"
    for name in ("Anno", "Eval", "Img"):
        (official / name).mkdir(parents=True)
    shutil.move(celeba_folder / LABELS, official / "Anno")
    shutil.move(celeba_folder / SPLITS, official / "Eval")
    shutil.move(celeba_folder / "img_align_celeba", official / "Img")
    table = read_celeba(official)
    _assert_table(table, official / "Img" / "img_align_celeba", random_labels(20))


@pytest.mark.parametrize("images", ["img_align_celeba", "img_align_celeba/img_align_celeba"])
def test_kaggles_folder(celeba_folder, tmp_path, images):
    kaggle = tmp_path / "kaggle"
    shutil.copytree(celeba_folder / "img_align_celeba", kaggle / images)
    names = [f"{number:06d}.jpg" for number in range(1, 21)]
    with (kaggle / "list_attr_celeba.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", *CELEBA_ATTRIBUTES])
        writer.writerows([n, *row] for n, row in zip(names, random_labels(20), strict=True))
    with (kaggle / "list_eval_partition.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "partition"])
        writer.writerows(zip(names, [0] * 12 + [1] * 5 + [2] * 3, strict=True))
    table = read_celeba(kaggle)
    _assert_table(table, kaggle / images, random_labels(20))
    assert table.lines.tolist() == list(range(2, 22))


def test_columns_may_be_in_any_order(tmp_path):
    labels = random_labels(4)
    order = np.random.default_rng(9).permutation(40)
    folder = write_celeba(
        tmp_path / "order",
        labels[:, order],
        [0] * 4,
        names=[CELEBA_ATTRIBUTES[column] for column in order],
    )
    table = read_celeba(folder)
    np.testing.assert_array_equal(table.labels, np.choose(labels + 1, [0, -1, 1]))


def test_custom_attributes(tmp_path):
    folder = write_celeba(tmp_path / "custom", [[1, -1], [0, 1]], [0, 1], names=["happy", "hat"])
    table = read_celeba(folder, attributes=["hat", "happy"])
    assert table.labels.tolist() == [[0, 1], [1, -1]]


def test_attributes_that_were_not_asked_for_are_columns(celeba_folder):
    table = read_celeba(celeba_folder, ["Smiling", "Bald"])
    labels = dict(zip(CELEBA_ATTRIBUTES, random_labels(20).T, strict=True))
    assert table.labels.shape == (20, 2)
    assert table.columns.keys() == set(CELEBA_ATTRIBUTES) - {"Smiling", "Bald"}
    texts = {1: "1", -1: "0", 0: ""}
    expected = [texts[label] for label in labels["Male"].tolist()]
    assert set(expected) == {"1", "0", ""}
    assert table.columns["Male"].tolist() == expected
    chosen = table.split("validation").take([4, 1])
    assert chosen.columns["Male"].tolist() == [expected[16], expected[13]]


def test_labels_written_as_zero_and_one(tmp_path, caplog):
    caplog.set_level("INFO")
    labels = [[1, 0], [0, 1], [0, 0]]
    folder = write_celeba(tmp_path / "zeros", labels, [0, 1, 2], names=["hat", "happy"])
    table = read_celeba(folder, attributes=["hat", "happy"])
    assert table.labels.tolist() == labels
    assert table.labels.dtype == "int8"
    assert "no label is -1, so 0 is read as absent" in caplog.text


def test_splits_are_selected_and_an_empty_one_is_refused(celeba_folder):
    table = read_celeba(celeba_folder)
    assert [len(table.split(split)) for split in ("train", "validation", "test")] == [12, 5, 3]
    assert table.split("test").paths[0].name == "000018.jpg"
    assert table.split("test").lines.tolist() == [20, 21, 22]
    with pytest.raises(InputError, match="the validation split has no images"):
        table.split("train").split("validation")
    with pytest.raises(InputError, match="no split 'valid'; choose one of train, validation, test"):
        table.split("valid")


BAD_ROWS = [
    (LABELS, 5, "000003.jpg 1 -1 1", "line 5: 000003.jpg has 3 values, but there are 40"),
    (LABELS, 5, "000003.jpg" + " 1" * 39 + " 2", "line 5: 000003.jpg has the value '2'"),
    (LABELS, 5, "000003.jpg" + " 1" * 39 + " yes", "line 5: 000003.jpg has the value 'yes'"),
    (LABELS, 5, "000001.jpg" + " 1" * 40, "line 5: 000001.jpg is listed twice"),
    (LABELS, 1, "21", "line 1: the count is 21, but the file has 20 rows"),
    (SPLITS, 3, "000003.jpg 3", "line 3: expected an image name and 0, 1 or 2; got '000003.jpg 3'"),
    (SPLITS, 3, "000003.jpg", "line 3: expected an image name and 0, 1 or 2; got '000003.jpg'"),
    (SPLITS, 3, None, "line 5: 000003.jpg has no split"),
    (SPLITS, 3, "000001.jpg 2", "line 3: 000001.jpg is listed twice"),
]


@pytest.mark.parametrize(("file", "line", "text", "message"), BAD_ROWS)
def test_an_invalid_row_is_named_and_can_be_skipped(celeba_folder, file, line, text, message):
    _edit(celeba_folder / file, line, text)
    with pytest.raises(InputError, match=f"{message}(.|\n)*--skip-bad"):
        read_celeba(celeba_folder)
    table = read_celeba(celeba_folder, skip_bad=True)
    assert any(message in str(problem) for problem in table.problems)
    only_the_count = line == 1
    assert len(table) == (20 if only_the_count else 19)
    assert ("000003.jpg" in {image.name for image in table.paths}) == only_the_count


def test_of_many_invalid_rows_a_few_are_shown_and_the_others_counted(celeba_folder):
    for line in range(3, 15):
        _edit(celeba_folder / LABELS, line, f"{line:06d}.jpg 1")
    with pytest.raises(InputError, match=r"\.\.\. and 7 more") as error:
        read_celeba(celeba_folder)
    assert len(str(error.value).splitlines()) == 7


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        (LABELS, 1, "many", "line 1: the first line must be the number of images"),
        (
            LABELS,
            2,
            "Smiling",
            "line 2: the header must have each(.|\n)*missing: 5_o",
        ),
        (LABELS, 2, " ".join(["Odd", *CELEBA_ATTRIBUTES[1:]]), "unknown: Odd"),
        (LABELS, 2, " ".join([*CELEBA_ATTRIBUTES, "Bald"]), "one is repeated"),
    ],
)
def test_an_invalid_header_is_refused_even_with_skip_bad(celeba_folder, file, line, text, message):
    _edit(celeba_folder / file, line, text)
    with pytest.raises(InputError, match=message):
        read_celeba(celeba_folder, skip_bad=True)


def test_files_that_are_missing_or_empty_or_not_text(celeba_folder, tmp_path):
    with pytest.raises(InputError, match="missing: there is no such folder"):
        read_celeba(tmp_path / "missing")
    with pytest.raises(InputError, match=r"looked for Anno/list_attr_celeba.txt, list_attr"):
        read_celeba(tmp_path)
    (celeba_folder / SPLITS).rename(celeba_folder / "renamed")
    with pytest.raises(
        InputError, match=r"list_eval_partition\.txt: the partition file is missing"
    ):
        read_celeba(celeba_folder)
    (celeba_folder / "renamed").rename(celeba_folder / SPLITS)
    for name in (LABELS, SPLITS):
        text = (celeba_folder / name).read_text()
        (celeba_folder / name).write_text("\n \n")
        with pytest.raises(InputError, match=f"{name}: the file is empty"):
            read_celeba(celeba_folder)
        (celeba_folder / name).write_text(text)
    (celeba_folder / "img_align_celeba").rename(celeba_folder / "renamed")
    with pytest.raises(InputError, match="img_align_celeba: the folder of the images is missing"):
        read_celeba(celeba_folder)
    (celeba_folder / "renamed").rename(celeba_folder / "img_align_celeba")
    (celeba_folder / LABELS).write_text(f"0\n{' '.join(CELEBA_ATTRIBUTES)}\n")
    with pytest.raises(InputError, match="there is no valid row"):
        read_celeba(celeba_folder)
    (celeba_folder / LABELS).write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="this is not a text file"):
        read_celeba(celeba_folder)


def _kaggle(folder, rows):
    """Kaggle's layout of two attributes, with these lines below the label file's header."""
    (folder / "img_align_celeba").mkdir(parents=True)
    (folder / "list_attr_celeba.csv").write_text("\n".join(["image_id,hat,happy", *rows, ""]))
    splits = "".join(f"{number}.jpg,0\n" for number in range(1, 9))
    (folder / "list_eval_partition.csv").write_text(f"image_id,partition\n{splits}")
    return folder


def test_lines_of_a_csv_are_counted_as_in_an_editor(tmp_path):
    rows = ['"1.jpg", 1,-1', "", '"2\n.jpg",1,1', "3.jpg,\x0c,1", "4.jpg,0,1"]
    folder = _kaggle(tmp_path / "kaggle", rows)
    table = read_celeba(folder, ["happy", "hat"], skip_bad=True)
    assert table.lines.tolist() == [2, 7]
    assert table.labels.tolist() == [[0, 1], [1, -1]]
    assert [problem.line for problem in table.problems] == [4, 6]


@pytest.mark.parametrize("below", [3, 20_000])
def test_an_unclosed_quotation_mark_is_refused_with_its_line(tmp_path, below):
    rows = ["1.jpg,1,1", '"2.jpg,1,1', *["3.jpg,1,1"] * below]
    with pytest.raises(
        InputError, match="csv, line 3: this is not a row of comma-separated values"
    ):
        read_celeba(_kaggle(tmp_path / "kaggle", rows), ["hat", "happy"], skip_bad=True)


def test_reading_does_not_import_tensorflow():
    code = (
        "import sys, keras_faramtn.data.readers.dataset; "
        "assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Happé".encode("latin-1"), "not a text file in UTF-8: .*save it in UTF-8"),
        ("20\nHappy".encode("utf-16"), "not a text file in UTF-8"),
        ("20\nHappy".encode("utf-16-le"), "contains null characters; save it in UTF-8"),
        (b"9" * 5000 + b"\nHappy\n", "line 1: the first line must be the number of images"),
    ],
)
def test_files_in_another_encoding_or_with_a_huge_count(celeba_folder, text, message):
    (celeba_folder / LABELS).write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_celeba(celeba_folder)


def test_a_byte_order_mark_is_ignored(celeba_folder):
    expected = read_celeba(celeba_folder).labels
    for name in (LABELS, SPLITS):
        (celeba_folder / name).write_bytes(b"\xef\xbb\xbf" + (celeba_folder / name).read_bytes())
    np.testing.assert_array_equal(read_celeba(celeba_folder).labels, expected)


@pytest.mark.parametrize("values", [[1, -1, 0], [1, 0]])
def test_zero_is_absent_only_in_a_file_without_minus_one(tmp_path, caplog, values):
    caplog.set_level("INFO")
    labels = np.random.default_rng(3).choice(values, (9, 40))
    labels[0, :2] = values[:2]
    folder = write_celeba(tmp_path / "celeba", labels, [0] * 9)
    kaggle = tmp_path / "kaggle"
    (kaggle / "img_align_celeba").mkdir(parents=True)
    for name, header in (
        (LABELS, ["image_id", *CELEBA_ATTRIBUTES]),
        (SPLITS, ["image_id", "split"]),
    ):
        lines = (folder / name).read_text().splitlines()
        rows = [line.split() for line in lines[2 if name == LABELS else 0 :]]
        with (kaggle / name.replace("txt", "csv")).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    expected = labels if -1 not in values else np.choose(labels + 1, [0, -1, 1])
    for source in (folder, kaggle):
        np.testing.assert_array_equal(read_celeba(source).labels, expected)
    assert len(caplog.messages) == (0 if -1 in values else 2)


def test_minus_one_in_a_skipped_row_counts(tmp_path):
    labels = [[1, 0], [0, 1], [-1, 2]]
    folder = write_celeba(tmp_path / "celeba", labels, [0, 1, 2], names=["hat", "happy"])
    table = read_celeba(folder, ["hat", "happy"], skip_bad=True)
    assert table.labels.tolist() == [[1, -1], [-1, 1]]
