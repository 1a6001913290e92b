import errno
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_faramtn.atomic_files import TEMPORARY_PREFIX
from keras_faramtn.data import cache
from keras_faramtn.data.cache import cache_folder, cached_images
from keras_faramtn.errors import InputError

SIZE = (6, 4)


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / f"{n}.jpg" for n in range(10)]
    for file in files:
        file.write_bytes(file.name.encode())
    return files


def _pixels(count=10, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype="uint8")


def _decode(pixels=None, batch=4):
    pixels = _pixels() if pixels is None else pixels
    return lambda: (pixels[at : at + batch] for at in range(0, len(pixels), batch))


def _never():
    raise AssertionError("decoded although it was stored")


def test_images_are_decoded_once_and_mapped_read_only(paths, tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    folder = tmp_path / "new" / "folder"
    first = cached_images(paths, SIZE, folder, _decode())
    again = cached_images(paths, SIZE, folder, _never)
    for stored in (first, again):
        assert isinstance(stored, np.memmap)
        assert not stored.flags.writeable
        np.testing.assert_array_equal(stored, _pixels())
    assert [file.suffix for file in folder.iterdir()] == [".npy"]
    assert caplog.text.count("Decoding 10 images once, to ") == 1
    assert "10/10" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["content", "time", "order", "fewer", "size", "path"])
def test_images_are_decoded_again_after_a_change_of(paths, tmp_path, change):
    cached_images(paths, SIZE, tmp_path / "cache", _decode())
    size, changed = SIZE, list(paths)
    if change == "content":
        paths[3].write_bytes(b"another image")
    elif change == "time":
        os.utime(paths[3], (1, 1))
    elif change == "order":
        changed.reverse()
    elif change == "fewer":
        changed.pop()
    elif change == "size":
        size = SIZE[::-1]
    else:
        (tmp_path / "copies").mkdir()
        changed = [tmp_path / "copies" / file.name for file in paths]
        for file, copy in zip(paths, changed, strict=True):
            shutil.copy2(file, copy)
    expected = np.random.default_rng(9).integers(0, 256, (len(changed), *size, 3), dtype="uint8")
    stored = cached_images(changed, size, tmp_path / "cache", _decode(expected))
    np.testing.assert_array_equal(stored, expected)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_an_interrupted_decoding_leaves_nothing(paths, tmp_path):
    def decode():
        yield _pixels()[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images(paths, SIZE, tmp_path / "cache", decode)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_file_of_a_killed_process_is_not_used_and_removed_later(paths, tmp_path):
    folder = tmp_path / "cache"
    code = f"""
import os, pathlib, signal
import numpy as np
from keras_faramtn.data.cache import cached_images
def decode():
    yield np.full((7, *{SIZE}, 3), 99, "uint8")
    os.kill(os.getpid(), signal.SIGKILL)
paths = [pathlib.Path(path) for path in {list(map(str, paths))}]
cached_images(paths, {SIZE}, pathlib.Path({str(folder)!r}), decode)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    [remaining] = folder.iterdir()
    assert remaining.name.startswith(TEMPORARY_PREFIX)
    np.testing.assert_array_equal(cached_images(paths, SIZE, folder, _decode()), _pixels())
    assert remaining.exists()  # another process may still be writing it
    for path in (remaining, *remaining.iterdir()):
        os.utime(path, (time.time() - 4000,) * 2)
    cached_images(paths[:5], SIZE, folder, _decode(_pixels(5)))
    assert not remaining.exists()


def test_without_enough_space_nothing_is_written(paths, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 700))
    assert cached_images(paths, SIZE, tmp_path / "cache", _never) is None
    assert "the decoded images need 0.0 GB and 0.0 GB are free" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_fills_is_an_error_and_leaves_nothing(paths, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(InputError, match=r"can't be stored there: .*No space left on device"):
        cached_images(paths, SIZE, tmp_path / "cache", _decode())
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_created(paths):
    with pytest.raises(InputError, match=r"can't be stored there.*data\.cache to another folder"):
        cached_images(paths, SIZE, paths[0] / "cache", _decode())


def test_the_default_folder_is_the_users_cache(monkeypatch, tmp_path):
    assert cache_folder("chosen").name == "chosen"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "keras_faramtn"
