import errno
import os
import shutil
import stat
import subprocess
import sys
import threading

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


def test_images_are_decoded_once_and_mapped_read_only(paths, tmp_path, caplog):
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
    [file] = folder.iterdir()
    np.testing.assert_array_equal(np.load(file), _pixels())  # NumPy's own format
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask  # other users read a shared cache


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


def test_the_file_of_a_killed_process_is_removed_and_not_used(paths, tmp_path):
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
    assert list(folder.glob(f"{TEMPORARY_PREFIX}*/*.npy"))
    np.testing.assert_array_equal(cached_images(paths, SIZE, folder, _decode()), _pixels())
    assert [file.suffix for file in folder.iterdir()] == [".npy"]


def _truncate(content):
    return content[:-300]


def _extend(content):
    return content + bytes(10)


def _flip_a_pixel(content):
    return content[:500] + bytes([content[500] ^ 1]) + content[501:]


def _reshape(content):
    return content.replace(b"(10, 6, 4, 3)", b"(10, 4, 6, 3)")


def _replace_with_text(content):
    return b"This is not a NumPy file."


@pytest.mark.parametrize(
    "damage",
    [_truncate, _extend, _flip_a_pixel, _reshape, _replace_with_text, lambda content: b""],
)
def test_a_damaged_file_is_replaced(paths, tmp_path, caplog, damage):
    cached_images(paths, SIZE, tmp_path / "cache", _decode())
    [file] = (tmp_path / "cache").iterdir()
    good = file.read_bytes()
    file.write_bytes(damage(good))
    assert file.read_bytes() != good
    stored = cached_images(paths, SIZE, tmp_path / "cache", _decode())
    np.testing.assert_array_equal(stored, _pixels())
    assert file.read_bytes() == good
    assert f"{file}: this file of decoded images is damaged; it is replaced" in caplog.text


def test_files_of_the_user_in_the_folder_are_kept(paths, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    for name in ("big.csv.part", "old.npy", f"{TEMPORARY_PREFIX}notes"):
        (folder / name).write_text("mine")
        os.utime(folder / name, (0, 0))
    cached_images(paths, SIZE, folder, _decode())
    kept = {file.name for file in folder.iterdir() if file.read_bytes() == b"mine"}
    assert kept == {"big.csv.part", "old.npy", f"{TEMPORARY_PREFIX}notes"}


def test_a_second_writer_waits_for_the_first(paths, tmp_path, caplog):
    caplog.set_level("INFO")
    waiting, results = threading.Event(), []

    def decode():
        other = threading.Thread(
            target=lambda: results.append(cached_images(paths, SIZE, tmp_path / "cache", _never))
        )
        other.start()
        while "waiting for another process" not in caplog.text:
            assert not waiting.wait(0.01)
        yield _pixels()
        waiting.set()
        threads.append(other)

    threads = []
    cached_images(paths, SIZE, tmp_path / "cache", decode)
    threads[0].join()
    np.testing.assert_array_equal(results[0], _pixels())


def test_a_folder_that_cannot_be_written_is_read(paths, tmp_path, monkeypatch):
    cached_images(paths, SIZE, tmp_path / "cache", _decode())

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(cache, "output_lock", refuse)
    monkeypatch.setattr(cache, "atomic_write", refuse)
    stored = cached_images(paths, SIZE, tmp_path / "cache", _never)
    np.testing.assert_array_equal(stored, _pixels())
    with pytest.raises(InputError, match=r"can't be stored there: .*Permission denied"):
        cached_images(paths[:5], SIZE, tmp_path / "cache", _never)


def test_without_enough_space_nothing_is_written(paths, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 700))
    assert cached_images(paths, SIZE, tmp_path / "cache", _never) is None
    assert "the decoded images need 0.0 GB and 0.0 GB are free" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_fills_is_an_error_and_leaves_nothing(paths, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "_checksum_bytes", full)
    with pytest.raises(InputError, match=r"can't be stored there: .*No space left on device"):
        cached_images(paths, SIZE, tmp_path / "cache", _decode())
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_message_that_cannot_be_printed_is_no_storage_error(paths, tmp_path, monkeypatch):
    def refuse(*_):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(cache.logger, "info", refuse)
    with pytest.raises(BrokenPipeError):
        cached_images(paths, SIZE, tmp_path / "cache", _decode())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow only Unicode names")
def test_file_names_that_are_not_valid_unicode(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    file.write_bytes(b"image")
    for decode in (_decode(_pixels(1)), _never):
        stored = cached_images([file], SIZE, tmp_path / "cache", decode)
        np.testing.assert_array_equal(stored, _pixels(1))


def test_a_folder_that_cannot_be_created(paths):
    with pytest.raises(InputError, match=r"can't be stored there.*data\.cache to another folder"):
        cached_images(paths, SIZE, paths[0] / "cache", _decode())


def test_the_default_folder_is_the_users_cache(monkeypatch, tmp_path):
    assert cache_folder("chosen").name == "chosen"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "keras_faramtn"
