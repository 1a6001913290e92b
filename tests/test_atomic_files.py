import stat

import pytest

from keras_faramtn.atomic_files import atomic_write, atomic_write_bytes
from keras_faramtn.errors import InputError


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("old")
    atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]
    plain = tmp_path / "plain"
    plain.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_file_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/metrics\.json: can't be written"):
        atomic_write_bytes(tmp_path / "file" / "metrics.json", b"new")
    folder = tmp_path / "metrics.json"
    folder.mkdir()
    with pytest.raises(InputError, match="can't be written"):
        atomic_write_bytes(folder, b"new")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "metrics.json"]


def test_what_stops_the_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file.keras"
    path.write_text("whole")

    def stop(aside):
        assert aside.suffix == ".keras"
        aside.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, stop)
    assert path.read_text() == "whole"
    assert [each.name for each in tmp_path.iterdir()] == ["file.keras"]
