import os
import stat
import time

import pytest

from keras_faramtn import atomic_files
from keras_faramtn.atomic_files import (
    TEMPORARY_PREFIX,
    atomic_folder,
    atomic_write,
    atomic_write_bytes,
)
from keras_faramtn.errors import InputError


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_no_temporary_file_remains(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("old")
    atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert _names(tmp_path) == ["metrics.json"]
    plain = tmp_path / "plain"
    plain.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_error_for_an_unwritable_file_names_it_and_keeps_the_earlier_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/metrics\.json: can't be written"):
        atomic_write_bytes(tmp_path / "file" / "metrics.json", b"new")
    folder = tmp_path / "metrics.json"
    folder.mkdir()
    with pytest.raises(InputError, match="can't be written"):
        atomic_write_bytes(folder, b"new")
    assert _names(tmp_path) == ["file", "metrics.json"]


def test_an_interrupted_write_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "file.keras"
    path.write_text("complete")

    def interrupted(temporary):
        assert temporary.name == "file.keras"
        assert temporary != path
        temporary.write_text("com")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, interrupted)
    assert path.read_text() == "complete"
    assert _names(tmp_path) == ["file.keras"]


def test_two_writers_of_the_same_file_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "file.txt"

    def write(temporary):
        temporary.write_text("outer")
        atomic_write_bytes(path, b"inner")

    atomic_write(path, write)
    assert path.read_text() == "outer"


def test_only_old_temporary_folders_of_this_package_are_removed(tmp_path):
    old, recent = (tmp_path / f"{TEMPORARY_PREFIX}{name}" for name in ("old", "recent"))
    other = tmp_path / "other.part"
    for folder in (old, recent, other):
        folder.mkdir()
        (folder / "file").write_text("")
    long_ago = (time.time() - 4000,) * 2
    for path in (old, old / "file", other, other / "file", recent):
        os.utime(path, long_ago)
    atomic_write_bytes(tmp_path / "file", b"")
    assert _names(tmp_path) == sorted(["file", "other.part", recent.name])


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path, exists):
    folder = tmp_path / "new"
    if exists:
        folder.mkdir()
    with atomic_folder(folder) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text("")
        assert not (folder / "deep").exists()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "new",
        "new/deep",
        "new/deep/file",
    ]


def test_an_empty_folder_keeps_its_identity(tmp_path, monkeypatch):
    # A mount point can't be renamed over, and neither can the current folder on some systems.
    folder = tmp_path / "mount"
    folder.mkdir()
    monkeypatch.chdir(folder)
    identity = folder.stat().st_ino
    with atomic_folder(".") as temporary:
        (temporary / "file").write_text("")
    assert folder.stat().st_ino == identity
    assert _names(folder) == ["file"]


def test_a_folder_with_content_is_replaced_only_on_request(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(InputError, match="export: it exists already"), atomic_folder(folder):
        pass
    with atomic_folder(folder, replace=True) as temporary:
        (temporary / "new").write_text("")
        assert _names(folder) == ["old"]
    assert _names(folder) == ["new"]
    assert _names(tmp_path) == ["export"]


def test_a_failed_replacement_keeps_the_earlier_folder(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder, replace=True):
        raise KeyboardInterrupt
    assert _names(folder) == ["old"]
    assert _names(tmp_path) == ["export"]


def test_a_folder_moved_aside_by_a_killed_replacement_is_restored(tmp_path):
    replaced = tmp_path / f"{atomic_files._REPLACED_PREFIX}export"
    replaced.mkdir()
    (replaced / "old").write_text("")
    with pytest.raises(InputError, match="it exists already"), atomic_folder(tmp_path / "export"):
        pass
    assert _names(tmp_path / "export") == ["old"]
