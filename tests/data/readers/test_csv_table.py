import numpy as np
import pytest
from conftest import write_csv_table

from keras_faramtn.data.check import check_data, describe
from keras_faramtn.data.readers.csv_table import read_csv_table
from keras_faramtn.errors import InputError

ROWS = [
    ["a.jpg", "train", "1", "0"],
    ["subfolder/b.png", "validation", "", "1"],
    ["c.jpg", "test", "0", ""],
]
HEADER = ["image", "split", "Happy", "Wearing scarf"]


@pytest.mark.parametrize("images", ["", "images"])
def test_labels_splits_and_paths(tmp_path, images):
    file = write_csv_table(tmp_path, HEADER, ROWS, images=images)
    for source in (file, tmp_path):
        table = read_csv_table(source)
        assert table.problems == ()
        assert table.attributes == ("Happy", "Wearing scarf")
        assert table.labels.tolist() == [[1, 0], [-1, 1], [0, -1]]
        assert table.labels.dtype == table.splits.dtype == "int8"
        assert table.splits.tolist() == [0, 1, 2]
        assert table.lines.tolist() == [2, 3, 4]
        names = ["a.jpg", "subfolder/b.png", "c.jpg"]
        assert list(table.paths) == [tmp_path / images / name for name in names]


def test_columns_in_any_order_and_a_selection_of_them(tmp_path):
    rows = [["a remark", " 1 ", "a.jpg", "0"], ["", "0", "b.jpg", "1"]]
    (tmp_path / "attributes.csv").write_text(
        "\n".join(["remark, Hat ,image,Happy", *(",".join(row) for row in rows)])
    )
    table = read_csv_table(tmp_path, ["Happy", "Hat"])
    assert table.labels.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(InputError, match=r"line 2: a\.jpg has the value 'a remark' for remark"):
        read_csv_table(tmp_path, ["Happy", "remark"])
    with pytest.raises(InputError, match=r"line 1: there is no column Hot; the columns are remark"):
        read_csv_table(tmp_path, ["Happy", "Hot"])


def test_without_attributes_a_column_of_text_is_not_one(tmp_path, caplog):
    header = ["image", "Happy", "age", "Hat", "score"]
    rows = [["a.jpg", "", "20-29", "", "0.7"], ["b.jpg", "0", "", "", "0.2"]]
    with caplog.at_level("INFO"):
        table = read_csv_table(write_csv_table(tmp_path, header, rows))
    assert table.attributes == ("Happy", "Hat")
    assert table.labels.tolist() == [[-1, -1], [0, -1]]
    assert {name: values.tolist() for name, values in table.columns.items()} == {
        "age": ["20-29", ""],
        "score": ["0.7", "0.2"],
    }
    assert "not read as attributes, because no value is 1 or 0: age, score." in caplog.text


def test_a_file_without_any_column_of_labels(tmp_path):
    file = write_csv_table(tmp_path, ["image", "Happy"], [["a.jpg", "yes"], ["b.jpg", "no"]])
    with pytest.raises(InputError, match=r"no column has labels.* other values only: Happy\."):
        read_csv_table(file)


def test_columns_that_are_not_attributes_are_kept_as_text(tmp_path):
    rows = [
        ["a.jpg", "test", "anna", "1", " 20-29 ", ""],
        ["b.jpg", "train", "berta", "0", "", ""],
        ["c.jpg", "test", "carl", "1", "30-39", ""],
    ]
    header = ["image", "split", "person", "Happy", "age", ""]
    table = read_csv_table(write_csv_table(tmp_path, header, rows), ["Happy"])
    assert {name: values.tolist() for name, values in table.columns.items()} == {
        "age": ["20-29", "", "30-39"]
    }
    assert table.split("test").columns["age"].tolist() == ["20-29", "30-39"]
    assert table.take([2, 1]).columns["age"].tolist() == ["30-39", ""]


def test_images_elsewhere_by_absolute_paths(tmp_path):
    write_csv_table(tmp_path / "elsewhere", ["image", "x"], [["a.jpg", "1"], ["b.jpg", "0"]])
    file = tmp_path / "table.csv"
    file.write_text(f"image,x\n{tmp_path}/elsewhere/a.jpg,1\nelsewhere/b.jpg,0\n")
    table = check_data(file)
    assert "2 images" in describe(table)


def test_without_a_split_column_the_splits_do_not_depend_on_the_order(tmp_path):
    rows = [[f"{n}.jpg", str(n % 2)] for n in range(50)]
    first = read_csv_table(write_csv_table(tmp_path / "a", ["image", "x"], rows))
    reordered = read_csv_table(write_csv_table(tmp_path / "b", ["image", "x"], rows[::-1]))
    assert np.bincount(first.splits).tolist() == [40, 5, 5]
    assert reordered.splits.tolist() == first.splits.tolist()[::-1]


def test_no_person_is_in_two_assigned_splits(tmp_path):
    rng = np.random.default_rng(3)
    people = [f"person {n}" for n in rng.integers(0, 30, 100)]
    rows = [[f"{n}.jpg", person, "1"] for n, person in enumerate(people)]
    table = read_csv_table(write_csv_table(tmp_path, ["image", "person", "x"], rows))
    by_split = [{p for p, q in zip(people, table.splits, strict=True) if q == n} for n in range(3)]
    assert all(by_split)
    assert sum(map(len, by_split)) == len(set(people))


BAD_ROWS = [
    ("b.jpg,train,yes,0", "line 3: b.jpg has the value 'yes' for Happy; a label is 1"),
    ("b.jpg,train,0.7,0", "line 3: b.jpg has the value '0.7' for Happy"),
    ("b.jpg,train,1", "line 3: the row has 3 values, but there are 4 columns"),
    ("b.jpg,train,1,0,0", "line 3: the row has 5 values"),
    (",train,1,0", "line 3: the row has no image"),
    ("a.jpg,train,1,0", "line 3: a.jpg is listed twice"),
    ("./a.jpg,train,1,0", r"line 3: \./a.jpg is listed twice"),
    (
        "b.jpg,val,1,0",
        "line 3: b.jpg has the split 'val'; a split is one of train, validation, test",
    ),
    ("b.jpg,,1,0", "line 3: b.jpg has the split ''"),
]


@pytest.mark.parametrize(("row", "message"), BAD_ROWS)
def test_an_invalid_row_is_named_and_can_be_skipped(tmp_path, row, message):
    file = tmp_path / "attributes.csv"
    file.write_text(f"image,split,Happy,Hat\na.jpg,train,1,0\n{row}\nc.jpg,test,0,1\n")
    with pytest.raises(InputError, match=f"attributes.csv, {message}"):
        read_csv_table(file)
    table = read_csv_table(file, skip_bad=True)
    assert [image.name for image in table.paths] == ["a.jpg", "c.jpg"]
    assert [problem.line for problem in table.problems] == [3]


@pytest.mark.parametrize("skip_bad", [False, True])
def test_minus_one_is_refused_as_ambiguous(tmp_path, skip_bad):
    file = tmp_path / "attributes.csv"
    file.write_text("image,Happy,Hat\na.jpg,1,0\nb.jpg,1,-1\n")
    with pytest.raises(InputError, match=r"line 3: Hat is -1, .*leave unknown labels empty"):
        read_csv_table(file, skip_bad=skip_bad)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,x\na.jpg,1\n", "line 1: there is no column 'image'; .*'name,x'"),
        ("image;x\na.jpg;1\n", "separated by commas, but it is 'image;x'"),
        ("image,x,x\na.jpg,1,1\n", "line 1: there are two columns x"),
        ("image,split\na.jpg,train\n", "line 1: each attribute needs a column"),
        ("image,x,\na.jpg,1,0\n", "line 1: each attribute needs a column with its name"),
        ('image,"x\ny"\na.jpg,1\n', "without line breaks"),
        ("image,x\n", "there is no valid row"),
        ("", "the file is empty"),
        ('image,x\n"a.jpg,1\n', "line 2: this is not a row of comma-separated values"),
    ],
)
def test_files_that_are_not_a_table(tmp_path, text, message):
    (tmp_path / "attributes.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_csv_table(tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"other\.csv: there is no such file"):
        read_csv_table(tmp_path / "other.csv")
