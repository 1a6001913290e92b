"""Image files that Pillow opens: formats, bit depths, and what folders may contain."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from mutated import animation, encode
from PIL import Image

from keras_faramtn.data import images
from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.errors import InputError

SIZE = (6, 5)
VALUES = np.linspace(0, 65535, 30).astype("uint16").reshape(SIZE)


def _pgm(values, maximum):
    header = f"P5 {SIZE[1]} {SIZE[0]} {maximum}\n".encode()
    return header + values.astype(">u2" if maximum > 255 else "u1").tobytes()


def _saved(values, form):
    file = io.BytesIO()
    Image.fromarray(values).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.pgm", _pgm(VALUES, 65535)),
        ("deep.tif", _saved(VALUES, "TIFF")),
        ("deep.png", _saved(VALUES, "PNG")),
        ("plain.pgm", _pgm(VALUES >> 8, 255)),
    ],
)
def test_16_bit_values_keep_their_high_8_bits(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    pixels = load_image(tmp_path / name, SIZE)
    np.testing.assert_array_equal(pixels, np.repeat((VALUES // 256)[:, :, None], 3, axis=2))
    assert find_images([tmp_path]) == [tmp_path / name]


def test_a_pgm_of_12_bits_is_scaled_to_the_full_range(tmp_path):
    (tmp_path / "scan.pgm").write_bytes(_pgm(VALUES >> 4, 4095))
    pixels = load_image(tmp_path / "scan.pgm", SIZE)[:, :, 0].astype(int)
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 255)
    assert np.abs(pixels - VALUES / 257).max() <= 1


@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_pixels_without_a_defined_range_are_refused(tmp_path, kind):
    Image.fromarray(VALUES.astype(kind)).save(tmp_path / "scan.tif")
    with pytest.raises(InputError, match=r"scan\.tif: .* 32-bit integers or floating-point .*save"):
        load_image(tmp_path / "scan.tif", SIZE)


def test_eps_content_starts_no_other_program(tmp_path, monkeypatch):
    def refuse(*arguments, **_):
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    (tmp_path / "x.jpg").write_bytes(eps)
    with pytest.raises(InputError, match="in none of the formats JPEG, PNG, BMP, GIF, TIFF, WEBP"):
        load_image(tmp_path / "x.jpg", SIZE)


def test_an_animation_is_refused_instead_of_reading_its_first_frame(tmp_path):
    (tmp_path / "moving.gif").write_bytes(animation())
    with pytest.raises(InputError, match=r"moving\.gif: .* it has 3 frames; save one of them as"):
        load_image(tmp_path / "moving.gif", SIZE)
    pages = [Image.new("L", (4, 3), level) for level in (0, 255)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"scan\.tif: .* it has 2 frames"):
        load_image(tmp_path / "scan.tif", SIZE)


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "huge.ppm").write_bytes(b"P6 20000 20000 255\n")
    with pytest.raises(InputError, match=r"huge\.ppm: .*more than 178,956,970 pixels; reduce it"):
        load_image(tmp_path / "huge.ppm", SIZE)


def test_a_heic_file_without_its_package_is_reported_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images, "_register_heif", images._register_heif.__wrapped__)
    (tmp_path / "face.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(InputError, match=r"face\.heic: .*pip install 'keras-faramtn\[heif\]'"):
        load_image(tmp_path / "face.heic", SIZE)


def _write_images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode("JPEG"))


def test_the_files_of_macos_are_skipped_in_a_folder(tmp_path):
    _write_images(tmp_path, "000001.jpg", "sub/a.jpg")
    for name in ("._000001.jpg", "sub/._a.jpg"):
        (tmp_path / name).write_bytes(bytes(150))
    assert find_images([tmp_path]) == [tmp_path / "000001.jpg", tmp_path / "sub" / "a.jpg"]
    # Given by its name, it is a bad image.
    [path] = find_images([tmp_path / "._000001.jpg"])
    with pytest.raises(InputError, match=r"\._000001\.jpg: this file can't be read as an image"):
        load_image(path, SIZE)


def test_linked_folders_are_searched_once_even_in_a_circle(tmp_path):
    _write_images(tmp_path, "faces/a.jpg", "faces/sub/b.jpg", "elsewhere/c.jpg")
    (tmp_path / "faces" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "faces" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "faces" / "sub" / "up").symlink_to(tmp_path / "faces")
    found = find_images([tmp_path / "faces"])
    assert sorted(path.name for path in found) == ["a.jpg", "b.jpg", "c.jpg"]
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert find_images([tmp_path / "link"]) == [tmp_path / "link" / "c.jpg"]


def test_pipes_and_links_to_nothing_are_bad_images_and_no_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nothing.jpg")
    _write_images(tmp_path, "folder.jpg/a.jpg")
    lost, inside, pipe = sorted(find_images([tmp_path]), key=lambda path: path.name != "lost.jpg")
    assert inside == tmp_path / "folder.jpg" / "a.jpg"
    with pytest.raises(InputError, match=r"pipe\.jpg: .*it is a special file"):
        load_image(pipe, SIZE)
    with pytest.raises(InputError, match=r"lost\.jpg: there is no such image"):
        load_image(lost, SIZE)
    with pytest.raises(InputError, match=r"folder\.jpg: .*it is a folder"):
        load_image(tmp_path / "folder.jpg", SIZE)


def test_a_folder_that_cannot_be_read_is_reported(tmp_path, monkeypatch):
    _write_images(tmp_path, "a.jpg", "private/b.jpg")
    scandir = os.scandir

    def refuse_private(path):
        if os.fspath(path).endswith("private"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_private)  # root may read every folder
    with pytest.raises(InputError, match=r"private: it can't be read: Permission denied\."):
        find_images([tmp_path])


def test_a_single_path_is_no_list_of_images(tmp_path):
    for path in (tmp_path, str(tmp_path)):
        with pytest.raises(InputError, match="images must be a list of paths; got '/"):
            find_images(path)


def test_a_path_that_the_system_refuses_is_reported():
    with pytest.raises(InputError, match="it can't be read: File name too long"):
        find_images(["x" * 5000])
    with pytest.raises(InputError, match="there is no such image"):
        find_images(["a\0b.jpg"])
