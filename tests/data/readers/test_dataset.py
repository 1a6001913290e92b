import pytest
from conftest import write_celeba, write_csv_table
from lfwa import write_lfwa
from test_csv_table import HEADER, ROWS

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.errors import InputError


def test_each_kind_is_recognised(celeba_folder, tmp_path):
    file = write_csv_table(tmp_path / "custom", HEADER, ROWS)
    sources = {
        celeba_folder: ("list_attr_celeba.txt", CELEBA_ATTRIBUTES),
        write_lfwa(tmp_path / "lfwa"): ("lfw_att_40.mat", CELEBA_ATTRIBUTES),
        file: ("attributes.csv", tuple(HEADER[2:])),
        file.parent: ("attributes.csv", tuple(HEADER[2:])),
    }
    for source, (name, attributes) in sources.items():
        table = read_dataset(str(source))
        assert (table.source.name, table.attributes) == (name, attributes)
    table = read_dataset(file, ["Happy"])
    assert table.attributes == ("Happy",)


def test_an_unsupported_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="missing: there is no such file or folder"):
        read_dataset(tmp_path / "missing")
    with pytest.raises(InputError, match="can't be read: File name too long"):
        read_dataset("x" * 5000)
    with pytest.raises(InputError, match=r"looked for .*celeba.*lfw_att_40.*attributes"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("Happy", "must be a list of names; got 'Happy'"),
        (["Happy", "Happy"], "contains Happy more than once"),
        (["Happy "], "'Happy ' can't be the name of an attribute"),
        (["Happy\n"], "can't be the name of an attribute"),
        ([""], "'' can't be the name of an attribute"),
        ([3], "3 can't be the name of an attribute"),
    ],
)
@pytest.mark.parametrize("kind", ["celeba", "lfwa", "csv"])
def test_names_that_no_file_can_have_are_refused(tmp_path, kind, attributes, message):
    sources = {
        "celeba": lambda: write_celeba(tmp_path / "celeba", [[1, -1]], [0], names=["Happy", "Hat"]),
        "lfwa": lambda: write_lfwa(tmp_path / "lfwa"),
        "csv": lambda: write_csv_table(tmp_path, HEADER, ROWS),
    }
    with pytest.raises(InputError, match=message):
        read_dataset(sources[kind](), attributes)


def test_a_data_set_without_a_known_label_is_refused(tmp_path):
    file = write_csv_table(tmp_path / "custom", ["image", "Happy"], [["a.jpg", ""], ["b.jpg", ""]])
    celeba = write_celeba(tmp_path / "celeba", [[0] * 40] * 3, [0, 1, 2])
    for source in (file, celeba):
        with pytest.raises(InputError, match="every label is unknown; write 1 for present"):
            read_dataset(source)
