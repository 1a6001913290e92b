import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_faramtn.data import cache
from keras_faramtn.data.cache import cache_folder, cached_images
from keras_faramtn.errors import InputError

SIZE = (6, 4)


@pytest.fixture
def images(tmp_path):
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
    raise AssertionError("decoded though it was stored")


def test_decoded_once_and_mapped_read_only(images, tmp_path, capsys):
    folder = tmp_path / "some" / "where"
    first = cached_images(images, SIZE, folder, _decode())
    again = cached_images(images, SIZE, folder, _never)
    for stored in (first, again):
        assert isinstance(stored, np.memmap)
        assert not stored.flags.writeable
        np.testing.assert_array_equal(stored, _pixels())
    assert [file.suffix for file in folder.iterdir()] == [".npy"]
    printed = capsys.readouterr()
    assert printed.out.count("Decoding 10 images once, to ") == 1
    assert "10/10" in printed.err


@pytest.mark.parametrize("change", ["content", "time", "order", "fewer", "size", "place"])
def test_whatever_changes_the_pixels_is_decoded_anew(images, tmp_path, change):
    cached_images(images, SIZE, tmp_path / "cache", _decode())
    size, others = SIZE, list(images)
    if change == "content":
        images[3].write_bytes(b"another image")
    elif change == "time":
        os.utime(images[3], (1, 1))
    elif change == "order":
        others.reverse()
    elif change == "fewer":
        others.pop()
    elif change == "size":
        size = SIZE[::-1]
    else:
        (tmp_path / "else").mkdir()
        others = [tmp_path / "else" / file.name for file in images]
        for file, copy in zip(images, others, strict=True):
            shutil.copy2(file, copy)
    expected = np.random.default_rng(9).integers(0, 256, (len(others), *size, 3), dtype="uint8")
    stored = cached_images(others, size, tmp_path / "cache", _decode(expected))
    np.testing.assert_array_equal(stored, expected)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_an_interrupted_decoding_leaves_nothing(images, tmp_path):
    def decode():
        yield _pixels()[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images(images, SIZE, tmp_path / "cache", decode)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_killed_decoding_is_never_used_and_removed_later(images, tmp_path):
    folder = tmp_path / "cache"
    code = f"""
import os, pathlib, signal
import numpy as np
from keras_faramtn.data.cache import cached_images
def decode():
    yield np.full((7, *{SIZE}, 3), 99, "uint8")
    os.kill(os.getpid(), signal.SIGKILL)
images = [pathlib.Path(p) for p in {list(map(str, images))}]
cached_images(images, {SIZE}, pathlib.Path({str(folder)!r}), decode)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    [left] = folder.iterdir()
    assert left.suffix == ".part"
    np.testing.assert_array_equal(cached_images(images, SIZE, folder, _decode()), _pixels())
    assert left.exists()  # it might be another's who is at work
    os.utime(left, (time.time() - 4000,) * 2)
    cached_images(images, SIZE, folder, _never)
    assert not left.exists()


def test_a_full_disk_is_said_and_nothing_written(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 700))
    assert cached_images(images, SIZE, tmp_path / "cache", _never) is None
    assert "no room there" in capsys.readouterr().out
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_can_not_be_written_to(images):
    with pytest.raises(InputError, match=r"can't be kept there.*another folder as data\.cache"):
        cached_images(images, SIZE, images[0] / "cache", _decode())


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    assert cache_folder("mine").name == "mine"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "keras_faramtn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "keras_faramtn"
