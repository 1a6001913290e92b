import pytest

from keras_faramtn.callbacks.history_file import read_history
from keras_faramtn.errors import InputError


def test_history_of_a_run(tmp_path):
    assert read_history(tmp_path) == {}
    (tmp_path / "history.csv").write_text("epoch,loss,val_loss\n0,0.7,nan\n1,0.5,0.6\n")
    history = read_history(tmp_path)
    assert history["loss"] == [0.7, 0.5]
    assert history["val_loss"][1] == 0.6


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\n0,high\n",
        "epoch,loss\n0\n",
        "epoch,loss\n0,0.5\n1,0.4,0.3\n",
        'epoch,loss\n0,"0.5',
    ],
)
def test_damaged_history(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(
        InputError, match=r"history\.csv: this history can't be read: .*, or remove "
    ):
        read_history(tmp_path)
