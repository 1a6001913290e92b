import pytest
import tensorflow as tf
from PIL import Image

from keras_faramtn.data.check import check_data, check_images, describe
from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError


def _spoil(folder):
    """One image gone, one cut short, one that is no image."""
    images = folder / "img_align_celeba"
    (images / "000002.jpg").unlink()
    content = (images / "000005.jpg").read_bytes()
    (images / "000005.jpg").write_bytes(content[: len(content) // 2])
    (images / "000007.jpg").write_text("no image")


def test_good_images_pass(celeba_folder):
    table, _ = read_celeba(celeba_folder)
    checked, problems = check_images(table, progress=False)
    assert problems == []
    assert checked.paths == table.paths


def test_bad_images_are_named_with_their_line(celeba_folder):
    _spoil(celeba_folder)
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError) as error:
        check_images(table, progress=False)
    first, second, third, remedy = str(error.value).splitlines()
    assert "list_attr_celeba.txt, line 4:" in first
    assert first.endswith("000002.jpg isn't there.")
    assert "line 7:" in second
    assert "000005.jpg can't be read as an image: image file is truncated" in second
    assert "line 9:" in third
    assert "000007.jpg can't be read as an image: cannot identify" in third
    assert "--skip-bad" in remedy


def test_skipping_leaves_the_bad_ones_out_and_counts_them(celeba_folder, capsys):
    _spoil(celeba_folder)
    lines = (celeba_folder / "list_attr_celeba.txt").read_text().splitlines()
    lines[2] = "000001.jpg 1"
    (celeba_folder / "list_attr_celeba.txt").write_text("\n".join(lines))
    table = check_data(celeba_folder, skip_bad=True)
    names = {path.name for path in table.paths}
    assert names == {f"{n:06d}.jpg" for n in range(1, 21)} - {f"{n:06d}.jpg" for n in (1, 2, 5, 7)}
    assert len(table.labels) == len(table.splits) == len(table.lines) == 16
    assert "4 problems; goes on with 16 good images" in capsys.readouterr().out


def test_nothing_left_is_an_error_also_when_skipping(celeba_folder):
    for path in (celeba_folder / "img_align_celeba").iterdir():
        path.unlink()
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=r"isn't there(.|\n)*and 15 more"):
        check_images(table, skip_bad=True, progress=False)


def test_a_decompression_bomb_is_a_bad_image(celeba_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match="exceeds limit"):
        check_images(table, progress=False)


def test_description_counts_parts_and_rates(celeba_folder):
    table, _ = read_celeba(celeba_folder)
    text = describe(table)
    assert "20 good images: 12 train, 5 validation, 3 test." in text
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
    elif form.startswith("PNG without its last "):
        image.save(path, "PNG")
        # Within the last chunk, behind all pixels.
        path.write_bytes(path.read_bytes()[: -int(form.rpartition(" ")[2])])
    else:
        image.save(path, form)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("BMP", "is a BMP file; save it as JPEG or PNG"),
        ("WEBP", "is a WEBP file; save it as JPEG or PNG"),
        ("TIFF", "is a TIFF file; save it as JPEG or PNG"),
        ("frames", "has 2 frames; save one as JPEG or PNG"),
        ("PNG without its last 8", "can't be read as an image"),
        ("JPEG without an end marker", "can't be read as an image: TensorFlow says "),
        ("PNG without its last 2", "can't be read as an image: TensorFlow says "),
    ],
)
def test_what_only_pillow_reads_is_a_bad_image(celeba_folder, form, message):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    _replace(path, form)
    # Of WebP TensorFlow makes a batch of one.
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.ensure_shape(decode_and_resize(tf.io.read_file(str(path)), (9, 7)), (9, 7, 3))
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=f"line 6: .*000004.jpg {message}"):
        check_images(table, progress=False)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "GIF"])
def test_what_passes_the_check_can_be_decoded(celeba_folder, form):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    _replace(path, form)
    table, _ = read_celeba(celeba_folder)
    assert check_images(table, progress=False)[1] == []
    assert decode_and_resize(tf.io.read_file(str(path)), (9, 7)).shape == (9, 7, 3)


def test_a_image_that_is_stored_turned_is_refused(celeba_folder):
    path = celeba_folder / "img_align_celeba" / "000004.jpg"
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6  # a phone held upright: to be turned by a quarter
    image.save(path, exif=exif)
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=r"line 6: .*000004.jpg is stored turned \(EXIF\)"):
        check_images(table, progress=False)


def test_the_digest_tells_other_labels_and_other_images(celeba_folder):
    table, _ = read_celeba(celeba_folder)
    again, _ = read_celeba(celeba_folder)
    assert table.digest() == again.digest()
    assert table.split("train").digest() != table.digest()
    again.labels[3, 5] = 1 - again.labels[3, 5] ** 2
    assert table.digest() != again.digest()
