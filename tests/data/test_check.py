import pytest
import tensorflow as tf
from PIL import Image

from keras_faramtn.data.celeba import read_celeba
from keras_faramtn.data.check import check_data, check_pictures, describe
from keras_faramtn.data.pipeline import decode_and_resize
from keras_faramtn.errors import InputError


def _spoil(folder):
    """One picture gone, one cut short, one that is no picture."""
    pictures = folder / "img_align_celeba"
    (pictures / "000002.jpg").unlink()
    content = (pictures / "000005.jpg").read_bytes()
    (pictures / "000005.jpg").write_bytes(content[: len(content) // 2])
    (pictures / "000007.jpg").write_text("no picture")


def test_good_pictures_pass(celeba_folder):
    table, _ = read_celeba(celeba_folder)
    checked, problems = check_pictures(table, progress=False)
    assert problems == []
    assert checked.pictures == table.pictures


def test_bad_pictures_are_named_with_their_line(celeba_folder):
    _spoil(celeba_folder)
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError) as error:
        check_pictures(table, progress=False)
    first, second, third, remedy = str(error.value).splitlines()
    assert "list_attr_celeba.txt, line 4:" in first
    assert first.endswith("000002.jpg isn't there.")
    assert "line 7:" in second
    assert "000005.jpg can't be read as a picture: image file is truncated" in second
    assert "line 9:" in third
    assert "000007.jpg can't be read as a picture: cannot identify" in third
    assert "--skip-bad" in remedy


def test_skipping_leaves_the_bad_ones_out_and_counts_them(celeba_folder, capsys):
    _spoil(celeba_folder)
    lines = (celeba_folder / "list_attr_celeba.txt").read_text().splitlines()
    lines[2] = "000001.jpg 1"
    (celeba_folder / "list_attr_celeba.txt").write_text("\n".join(lines))
    table = check_data(celeba_folder, skip_bad=True)
    names = {picture.name for picture in table.pictures}
    assert names == {f"{n:06d}.jpg" for n in range(1, 21)} - {f"{n:06d}.jpg" for n in (1, 2, 5, 7)}
    assert len(table.labels) == len(table.parts) == len(table.lines) == 16
    assert "4 problems; goes on with 16 good pictures" in capsys.readouterr().out


def test_nothing_left_is_an_error_also_when_skipping(celeba_folder):
    for picture in (celeba_folder / "img_align_celeba").iterdir():
        picture.unlink()
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=r"isn't there(.|\n)*and 15 more"):
        check_pictures(table, skip_bad=True, progress=False)


def test_a_decompression_bomb_is_a_bad_picture(celeba_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match="exceeds limit"):
        check_pictures(table, progress=False)


def test_description_counts_parts_and_rates(celeba_folder):
    table, _ = read_celeba(celeba_folder)
    text = describe(table)
    assert "20 good pictures: 12 train, 5 validation, 3 test." in text
    known = [label for label in table.labels[:, 20] if label >= 0]
    assert f"  {'Male':<20}{100 * known.count(1) / len(known):5.1f} %" in text


def _replace(picture, form):
    image = Image.open(picture)
    image.load()
    if form == "frames":
        image.save(picture, "GIF", save_all=True, append_images=[image.rotate(180)])
    elif form == "JPEG without an end marker":
        image.save(picture, "JPEG")
        picture.write_bytes(picture.read_bytes()[:-2] + b"\0" * 10)
    elif form.startswith("PNG without its last "):
        image.save(picture, "PNG")
        # Within the last chunk, behind all pixels.
        picture.write_bytes(picture.read_bytes()[: -int(form.rpartition(" ")[2])])
    else:
        image.save(picture, form)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("BMP", "is a BMP file; save it as JPEG or PNG"),
        ("WEBP", "is a WEBP file; save it as JPEG or PNG"),
        ("TIFF", "is a TIFF file; save it as JPEG or PNG"),
        ("frames", "has 2 frames; save one as JPEG or PNG"),
        ("PNG without its last 8", "can't be read as a picture"),
        ("JPEG without an end marker", "can't be read as a picture: TensorFlow says "),
        ("PNG without its last 2", "can't be read as a picture: TensorFlow says "),
    ],
)
def test_what_only_pillow_reads_is_a_bad_picture(celeba_folder, form, message):
    picture = celeba_folder / "img_align_celeba" / "000004.jpg"
    _replace(picture, form)
    # Of WebP TensorFlow makes a batch of one.
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.ensure_shape(decode_and_resize(tf.io.read_file(str(picture)), (9, 7)), (9, 7, 3))
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=f"line 6: .*000004.jpg {message}"):
        check_pictures(table, progress=False)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "GIF"])
def test_what_passes_the_check_can_be_decoded(celeba_folder, form):
    picture = celeba_folder / "img_align_celeba" / "000004.jpg"
    _replace(picture, form)
    table, _ = read_celeba(celeba_folder)
    assert check_pictures(table, progress=False)[1] == []
    assert decode_and_resize(tf.io.read_file(str(picture)), (9, 7)).shape == (9, 7, 3)


def test_a_picture_that_is_stored_turned_is_refused(celeba_folder):
    picture = celeba_folder / "img_align_celeba" / "000004.jpg"
    image = Image.open(picture)
    exif = image.getexif()
    exif[0x0112] = 6  # a phone held upright: to be turned by a quarter
    image.save(picture, exif=exif)
    table, _ = read_celeba(celeba_folder)
    with pytest.raises(InputError, match=r"line 6: .*000004.jpg is stored turned \(EXIF\)"):
        check_pictures(table, progress=False)


def test_the_digest_tells_other_labels_and_other_pictures(celeba_folder):
    table, _ = read_celeba(celeba_folder)
    again, _ = read_celeba(celeba_folder)
    assert table.digest() == again.digest()
    assert table.part("train").digest() != table.digest()
    again.labels[3, 5] = 1 - again.labels[3, 5] ** 2
    assert table.digest() != again.digest()
