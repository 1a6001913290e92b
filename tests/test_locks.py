import errno
import os
import signal
import subprocess
import sys

import pytest

from keras_faramtn import locks
from keras_faramtn.errors import InputError
from keras_faramtn.locks import LOCK_FILE, output_lock


@pytest.mark.parametrize("exists", [True, False])
def test_a_second_process_is_refused_until_the_first_ends(tmp_path, exists):
    output = tmp_path / "output"
    if exists:
        output.mkdir()
    code = """
import sys
from keras_faramtn.locks import output_lock
with output_lock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout.readline() == b"locked\n"
        with (
            pytest.raises(InputError, match=f"{output}: another process is writing to it"),
            output_lock(output),
        ):
            pass
        first.send_signal(signal.SIGKILL)
        first.wait()
    with output_lock(output):
        pass
    assert list(tmp_path.rglob("*")) == ([output] if exists else [])


def test_a_lock_file_with_content_is_not_changed(tmp_path):
    (tmp_path / LOCK_FILE).write_text("mine")
    with output_lock(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_a_file_system_without_modes_has_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "fchmod", refuse)
    with (
        output_lock(tmp_path),
        pytest.raises(InputError, match="another process is writing to it"),
        output_lock(tmp_path),
    ):
        pass


def test_a_message_that_cannot_be_printed_is_no_error_of_the_lock(tmp_path, monkeypatch):
    def refuse(*_):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(locks.logger, "info", refuse)
    with (
        output_lock(tmp_path),
        pytest.raises(BrokenPipeError),
        output_lock(tmp_path, wait=True),
    ):
        pass


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "_lock", refuse)
    with output_lock(tmp_path):
        pass
    assert f"{tmp_path}: its file system has no locks" in caplog.text
    assert list(tmp_path.iterdir()) == []
