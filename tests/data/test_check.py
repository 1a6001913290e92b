import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_faramtn.data.check import check_data, check_images, describe
from keras_faramtn.data.images import load_image
from keras_faramtn.data.pipeline import decode_images
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError


def _damage(folder):
    """Deletes one image, truncates one, and replaces one by text."""
    images = folder / "img_align_celeba"
    (images / "000002.jpg").unlink()
    content = (images / "000005.jpg").read_bytes()
    (images / "000005.jpg").write_bytes(content[: len(content) // 2])
    (images / "000007.jpg").write_text("not an image")


def test_valid_images_pass(celeba_folder):
    table = read_celeba(celeba_folder)
    checked = check_images(table, progress=False)
    assert checked.problems == ()
    assert checked.paths == table.paths


def test_invalid_images_are_named_with_their_line(celeba_folder):
    _damage(celeba_folder)
    table = read_celeba(celeba_folder)
    with pytest.raises(InputError) as error:
        check_images(table, progress=False)
    first, second, third, remedy = str(error.value).splitlines()
    assert "list_attr_celeba.txt, line 4:" in first
    assert first.endswith("000002.jpg does not exist.")
    assert "line 7:" in second
    assert "000005.jpg can't be read as an image: image file is truncated" in second
    assert "line 9:" in third
    assert "000007.jpg is not an image file" in third
    assert "--skip-bad" in remedy


def test_skipped_rows_and_images_are_counted(celeba_folder, caplog):
    _damage(celeba_folder)
    lines = (celeba_folder / "list_attr_celeba.txt").read_text().splitlines()
    lines[2] = "000001.jpg 1"
    (celeba_folder / "list_attr_celeba.txt").write_text("\n".join(lines))
    table = check_data(celeba_folder, skip_bad=True)
    names = {path.name for path in table.paths}
    assert names == {f"{n:06d}.jpg" for n in range(1, 21)} - {f"{n:06d}.jpg" for n in (1, 2, 5, 7)}
    assert len(table.labels) == len(table.splits) == len(table.lines) == 16
    assert [problem.line for problem in table.problems] == [3, 4, 7, 9]
    assert "4 problems; continuing with 16 images" in caplog.text


def test_no_valid_image_is_an_error_even_with_skip_bad(celeba_folder):
    for path in (celeba_folder / "img_align_celeba").iterdir():
        path.unlink()
    table = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=r"does not exist(.|\n)*and 15 more"):
        check_images(table, skip_bad=True, progress=False)


def test_an_image_in_a_format_that_needs_another_program_is_refused(celeba_folder):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(InputError, match=r"000004\.jpg is not an image file"):
        check_images(read_celeba(celeba_folder), progress=False)


def test_a_decompression_bomb_is_refused(celeba_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    table = read_celeba(celeba_folder)
    with pytest.raises(InputError, match="exceeds limit"):
        check_images(table, progress=False)


def test_the_description_has_split_sizes_and_rates(celeba_folder):
    table = read_celeba(celeba_folder)
    text = describe(table)
    assert "20 images: 12 train, 5 validation, 3 test." in text
    known = [label for label in table.labels[:, 20] if label >= 0]
    assert f"  {'Male':<20}{100 * known.count(1) / len(known):5.1f} %" in text


def _replace(path, form):
    image = Image.open(path)
    image.load()
    if form == "frames":
        image.save(path, "GIF", save_all=True, append_images=[image.rotate(180)])
    elif form == "JPEG without an end marker":
        image.save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:-2] + b"\0" * 10)
    elif form == "JPEG with a marker in its pixels":
        image.save(path, "JPEG")
        content = path.read_bytes()
        start = content.index(b"\xff\xda") + 50
        path.write_bytes(content[:start] + b"\xff\xeb\xff\xff" + content[start + 4 :])
    elif form.startswith("PNG without its last "):
        image.save(path, "PNG")
        # These bytes are in the last chunk, after all pixels.
        path.write_bytes(path.read_bytes()[: -int(form.rpartition(" ")[2])])
    else:
        image.save(path, form)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("frames", "can't be read as an image: it has 2 frames; save one of them as JPEG or PNG"),
        ("PNG without its last 8", "can't be read as an image"),
        ("JPEG with a marker in its pixels", "can't be read as an image: TensorFlow can't"),
        ("JPEG without an end marker", "can't be read as an image: TensorFlow can't"),
        ("PNG without its last 2", "can't be read as an image: TensorFlow can't"),
    ],
)
def test_a_file_that_training_cannot_read_is_refused(celeba_folder, form, message):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    _replace(path, form)
    with pytest.raises(tf.errors.OpError):
        decode_images(read_celeba(celeba_folder), (9, 7))
    table = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=f"line 6: .*000004.jpg {message}"):
        check_images(table, progress=False)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
def test_a_file_that_passes_the_check_can_be_decoded(celeba_folder, form):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    before = load_image(path, (9, 7))
    _replace(path, form)
    table = read_celeba(celeba_folder)
    assert check_images(table, progress=False).problems == ()
    pixels = decode_images(table, (9, 7)).decoded.pixels[3]
    assert np.abs(pixels.astype(int) - before).mean() < 6  # GIF has 256 colours


def test_the_digest_depends_on_labels_and_images(celeba_folder):
    table = read_celeba(celeba_folder)
    again = read_celeba(celeba_folder)
    assert table.digest() == again.digest()
    assert table.split("train").digest() != table.digest()
    again.labels[3, 5] = 1 - again.labels[3, 5] ** 2
    assert table.digest() != again.digest()


def test_a_truncated_animation_is_skipped_with_its_reason(celeba_folder):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    _replace(path, "frames")
    content = path.read_bytes()
    # The second frame ends before its pixels, so that Pillow can't count the frames.
    path.write_bytes(content[: content.rindex(b"\x21\xf9\x04") + 22])
    table = check_images(read_celeba(celeba_folder), skip_bad=True, progress=False)
    [problem] = table.problems
    assert "line 6: " in str(problem)
    assert "000004.jpg can't be read as an image: " in str(problem)


def test_a_pipe_and_a_folder_instead_of_an_image_are_skipped_with_their_reasons(celeba_folder):
    images = celeba_folder / "img_align_celeba"
    for name in ("000002.jpg", "000005.jpg"):
        (images / name).unlink()
    os.mkfifo(images / "000002.jpg")
    (images / "000005.jpg").mkdir()
    table = check_images(read_celeba(celeba_folder), skip_bad=True, progress=False)
    assert len(table) == 18
    assert str(table.problems[0]).endswith("000002.jpg can't be read: it is a special file.")
    assert str(table.problems[1]).endswith("000005.jpg can't be read: it is a folder.")


def test_the_reasons_are_kept_and_a_given_flag_is_not_advised(celeba_folder):
    lines = (celeba_folder / "list_attr_celeba.txt").read_text().splitlines()
    rows = [f"{line.split()[0]} 1" for line in lines[2:]]
    (celeba_folder / "list_attr_celeba.txt").write_text("\n".join([*lines[:2], *rows]))
    for skip_bad in (True, False):
        with pytest.raises(InputError) as error:
            check_data(celeba_folder, skip_bad=skip_bad)
        assert "line 3: 000001.jpg has 1 values, but there are 40 attributes" in str(error.value)
        assert "... and 15 more" in str(error.value)
        assert "--skip-bad" not in str(error.value)  # it would not help
