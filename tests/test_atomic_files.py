import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keras_faramtn import locks
from keras_faramtn.atomic_files import (
    TEMPORARY_PREFIX,
    atomic_folder,
    atomic_write,
    atomic_write_bytes,
    check_folder,
    new_folder,
    unused_path,
    visible_content,
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


def test_a_file_is_flushed_through_a_writable_descriptor(tmp_path, monkeypatch):
    # Windows refuses to flush any other.
    written = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: written.append(os.write(descriptor, b"N")))
    atomic_write_bytes(tmp_path / "file", b"new")
    assert written == [1]
    assert (tmp_path / "file").read_bytes() == b"New"


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


KILLED = """
import os, signal, sys
from pathlib import Path
from keras_faramtn.atomic_files import atomic_folder, atomic_write

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

{}
"""


def _run_killed(code):
    assert subprocess.run([sys.executable, "-c", KILLED.format(code)], check=False).returncode == -9


def test_the_temporary_folder_of_a_killed_process_is_removed_and_no_other(tmp_path):
    _run_killed(f"atomic_write({str(tmp_path / 'file')!r}, kill)")
    [abandoned] = tmp_path.iterdir()
    assert abandoned.name.startswith(TEMPORARY_PREFIX)
    users = [tmp_path / f"{TEMPORARY_PREFIX}mine", tmp_path / ".file.old", tmp_path / "file.part"]
    for folder in users:
        folder.mkdir()
        (folder / "thesis.txt").write_text("mine")
        os.utime(folder, (0, 0))
    atomic_write_bytes(tmp_path / "file", b"")
    assert _names(tmp_path) == sorted(["file", *(folder.name for folder in users)])
    assert all((folder / "thesis.txt").read_text() == "mine" for folder in users)


def test_the_temporary_folder_of_a_running_process_is_kept(tmp_path):
    def write(temporary):
        os.utime(temporary.parent, (0, 0))
        atomic_write_bytes(tmp_path / "other", b"")
        temporary.write_text("complete")

    atomic_write(tmp_path / "file", write)
    assert (tmp_path / "file").read_text() == "complete"
    assert _names(tmp_path) == ["file", "other"]


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


def test_a_symbolic_link_to_an_empty_folder_is_written_through(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to("disk")
    with atomic_folder(link) as temporary:
        (temporary / "file").write_text("")
    assert link.is_symlink()
    assert _names(tmp_path / "disk") == ["file"]
    (tmp_path / "nowhere").symlink_to("missing")
    with (
        pytest.raises(InputError, match="symbolic link leads to missing, which doesn't exist"),
        atomic_folder(tmp_path / "nowhere"),
    ):
        pass


def _accept(folder):
    pass


def test_a_folder_with_content_is_replaced_only_on_request(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(InputError, match="export: it already exists"), atomic_folder(folder):
        pass
    with atomic_folder(folder, refuse=_accept) as temporary:
        (temporary / "new").write_text("")
        assert "new" not in _names(folder)
        assert "old" in _names(folder)
    assert _names(folder) == ["new"]
    assert _names(tmp_path) == ["export"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_a_failed_replacement_keeps_the_earlier_folder(tmp_path, error):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(error), atomic_folder(folder, refuse=_accept):
        raise error
    assert _names(folder) == ["old"]
    assert _names(tmp_path) == ["export"]


EARLIER = dict.fromkeys((".marker", "both", "old"), "earlier")
FINISHED = dict.fromkeys((".marker", "both", "new"), "finished")


def _write_all(folder, content):
    for name, text in content.items():
        (folder / name).write_text(text)


def _contents(folder):
    return {path.name: path.read_text() for path in visible_content(folder)}


def _replace(folder):
    with atomic_folder(folder, refuse=_accept) as temporary:
        _write_all(temporary, FINISHED)


def _fail_at(monkeypatch, failures):
    """Makes the calls of `Path.rename` with the given numbers, from 0, raise an exception."""
    calls, rename = [], Path.rename

    def failing(path, target):
        calls.append(path)
        if error := failures.get(len(calls) - 1):
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)


DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize(
    ("error", "raised"), [(DENIED, InputError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_replacement_that_fails_at_any_step_restores_the_earlier_content(
    tmp_path, monkeypatch, step, error, raised
):
    folder = tmp_path / "export"
    folder.mkdir()
    _write_all(folder, EARLIER)
    with monkeypatch.context() as patch:
        _fail_at(patch, {step: error})
        with pytest.raises(raised):
            _replace(folder)
    assert _contents(folder) == EARLIER
    assert _names(folder) == sorted(EARLIER)
    _replace(folder)
    assert _contents(folder) == FINISHED


@pytest.mark.parametrize("step", range(1, 6))
@pytest.mark.parametrize("restoring", range(3))
def test_a_replacement_that_cannot_be_restored_either_is_completed_by_the_next_call(
    tmp_path, monkeypatch, step, restoring
):
    folder = tmp_path / "export"
    folder.mkdir()
    _write_all(folder, EARLIER)
    restoring = min(restoring, step - 1)
    with monkeypatch.context() as patch:
        _fail_at(patch, {step: DENIED, step + 1 + restoring: DENIED})
        with pytest.raises(
            InputError, match=r"nor restored \(Permission denied\).*replaced"
        ) as failed:
            _replace(folder)
        [abandoned] = folder.glob(f"{TEMPORARY_PREFIX}*/")
        assert str(abandoned) in str(failed.value)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(DENIED))
        with pytest.raises(InputError, match=r"export: .* can't be completed \(Permission"):
            check_folder(folder, _accept)
    assert abandoned.exists()
    check_folder(folder, _accept)
    assert _contents(folder) == FINISHED
    assert _names(folder) == sorted(FINISHED)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_replacement_that_cannot_be_completed_keeps_no_file_open(tmp_path, monkeypatch):
    folder = tmp_path / "export"
    folder.mkdir()
    _write_all(folder, EARLIER)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        _fail_at(patch, dict.fromkeys(range(1, 9), DENIED))
        with pytest.raises(InputError, match="nor restored"):
            _replace(folder)
        with pytest.raises(InputError, match="can't be completed"):
            check_folder(folder, _accept)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_is_replaced_on_a_file_system_without_locks(tmp_path, monkeypatch, caplog):
    def refuse(_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "_lock", refuse)
    folder = tmp_path / "export"
    folder.mkdir()
    for _ in range(2):
        _replace(folder)
        assert _names(folder) == sorted(FINISHED)
    assert "has no locks" in caplog.text


def test_a_temporary_folder_that_cannot_be_removed_stays_recognisable(
    tmp_path, monkeypatch, caplog
):
    rmtree = shutil.rmtree

    def refuse(path, *arguments, **options):
        if path.name == "replaced":
            raise DENIED
        rmtree(path, *arguments, **options)

    folder = tmp_path / "export"
    (folder / "old").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        _replace(folder)
    assert "this temporary folder can't be removed: Permission denied" in caplog.text
    assert _contents(folder) == FINISHED
    check_folder(folder, _accept)
    assert _names(folder) == sorted(FINISHED)


def test_content_that_appears_meanwhile_is_kept(tmp_path):
    folder = tmp_path / "export"

    def write_meanwhile():
        with atomic_folder(folder):
            folder.mkdir()
            (folder / "thesis.txt").write_text("mine")

    with pytest.raises(InputError, match="export: it already exists"):
        write_meanwhile()
    assert _names(folder) == ["thesis.txt"]


@pytest.mark.parametrize("step", range(8))
def test_a_replacement_killed_at_any_step_is_completed_by_the_next_call(tmp_path, step):
    folder = tmp_path / "export"
    folder.mkdir()
    _write_all(folder, EARLIER)
    _run_killed(
        f"""
steps = iter(range({step}))
for name in ("rename", "unlink"):
    def counted(path, *arguments, call=getattr(Path, name)):
        if next(steps, None) is None:
            kill()
        return call(path, *arguments)
    setattr(Path, name, counted)
with atomic_folder({str(folder)!r}, refuse=lambda _: None) as temporary:
    for name in (".marker", "both", "new"):
        (temporary / name).write_text("finished")
kill()
"""
    )
    with pytest.raises(InputError, match="it already exists"), atomic_folder(folder):
        pass
    content = _contents(folder)
    assert content == FINISHED or (step == 0 and content == EARLIER)
    assert _names(tmp_path) == ["export"]


def test_an_empty_folder_is_locked_while_it_is_new(tmp_path):
    folder = tmp_path / "scores"
    with new_folder(folder):
        with (
            pytest.raises(InputError, match="another process is writing to it"),
            new_folder(folder),
        ):
            pass
        (folder / "file").write_text("")
    assert _names(folder) == ["file"]
    with pytest.raises(InputError, match="it already exists"), new_folder(folder):
        pass


def test_an_unused_path_gets_a_number(tmp_path):
    path = tmp_path / "a.csv.part"
    assert unused_path(path) == path
    path.write_text("")
    assert unused_path(path).name == "a.csv.part2"
    (tmp_path / "a.csv.part2").symlink_to("missing")
    assert unused_path(path).name == "a.csv.part3"
