import pytest
from test_csv_table import HEADER, ROWS, write_own
from test_lfwa import write_lfwa

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.errors import InputError


def test_each_kind_is_recognised(celeba_folder, tmp_path):
    own = write_own(tmp_path / "own", HEADER, ROWS)
    places = {
        celeba_folder: ("list_attr_celeba.txt", CELEBA_ATTRIBUTES),
        write_lfwa(tmp_path / "lfwa"): ("lfw_att_40.mat", CELEBA_ATTRIBUTES),
        own: ("attributes.csv", tuple(HEADER[2:])),
        own.parent: ("attributes.csv", tuple(HEADER[2:])),
    }
    for place, (source, attributes) in places.items():
        table, _ = read_dataset(str(place))
        assert (table.source.name, table.attributes) == (source, attributes)
    table, _ = read_dataset(own, ["Happy"])
    assert table.attributes == ("Happy",)


def test_nothing_known(tmp_path):
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"looked for .*celeba.*lfw_att_40.*attributes"):
        read_dataset(tmp_path)
