"""EXIF orientations and image formats: TensorFlow and Pillow read the same pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from mutated import encode, exif, mutate
from PIL import Image

from keras_faramtn.data.images import load_image, load_upright
from keras_faramtn.data.orientation import exif_orientation
from keras_faramtn.data.pipeline import decode_images
from keras_faramtn.data.table import FaceTable
from keras_faramtn.export import image_decoding

SIZE = (40, 24)
TOLERANCE = 2  # of the 256 levels

# From the stored to the upright pixels: TIFF 6.0, section 8. In 6, the first row is the upright
# image's right side, and the first column its top.
TURN = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored),
}

# The suffix, Pillow's options, and the mean difference that compression may cause.
FORMATS = {
    "JPEG": (".jpg", {"quality": 90}, 1.5),
    "JPEG of full colour": (".jpeg", {"quality": 95, "subsampling": 0}, 0.5),
    "PNG": (".png", {}, 0),
    "WEBP": (".webp", {"lossless": True}, 0),
    "TIFF": (".tif", {}, 0),
    "AVIF": (".avif", {"quality": 95, "subsampling": "4:4:4"}, 1),
}
# BMP, GIF and PPM have no EXIF data. In HEIF it doesn't count: boxes of the file hold the rotation.
WITHOUT_EXIF = {
    "BMP": (".bmp", {}, 0),
    "GIF": (".gif", {}, 4),
    "PPM": (".ppm", {}, 0),
    "HEIF": (".heic", {"quality": 95}, 1),
}


def _read_for_training(paths):
    labels = np.zeros((len(paths), 1), "int8")
    lines = np.arange(len(paths))
    table = FaceTable(("x",), tuple(paths), labels, 0 * lines, paths[0], lines)
    return decode_images(table, SIZE).decoded.pixels


def _write_in_all_formats(folder):
    """An image in each format and orientation: its path, upright pixels, and loss."""
    image = Image.open(io.BytesIO(encode("PNG")))
    for name, (suffix, options, loss) in (FORMATS | WITHOUT_EXIF).items():
        for orientation in TURN if name in FORMATS else (1,):
            metadata = {"exif": exif(orientation)} if name in FORMATS else {}
            path = folder / f"{name} {orientation}{suffix}"
            image.save(path, **options, **metadata)
            yield path, TURN[orientation](np.asarray(image)), loss


def test_training_serving_and_prediction_read_the_same_upright_pixels(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    files = list(_write_in_all_formats(tmp_path))
    trained = _read_for_training([path for path, _, _ in files]).astype(int)
    for (path, upright, loss), pixels in zip(files, trained, strict=True):
        predicted = load_image(path, SIZE).astype(int)
        assert np.abs(pixels - predicted).max() <= TOLERANCE, path.name
        image = Image.fromarray(upright).resize(SIZE[::-1], Image.Resampling.BILINEAR)
        assert np.abs(predicted - np.asarray(image)).mean() <= loss, path.name
    for_server = [path.suffix in (".jpg", ".jpeg", ".png") for path, _, _ in files]
    encoded = [
        path.read_bytes() for path, _, _ in files if path.suffix in (".jpg", ".jpeg", ".png")
    ]
    served, errors = image_decoding.decode_images(tf.constant(encoded), SIZE)
    np.testing.assert_array_equal(served, trained[for_server])
    assert set(errors.numpy()) == {b""}


def _tiff(orientation, order="<", *, before=3, after=2, start=8, kind=3, count=1):
    """EXIF data with the orientation among other entries."""
    value = struct.pack(f"{order}H", orientation) + b"\0\0"
    if kind == 4:
        value = struct.pack(f"{order}I", orientation)
    other = [struct.pack(f"{order}HHII", 0x100 + n, 4, 1, 6) for n in range(before)]
    later = [struct.pack(f"{order}HHII", 0x9000 + n, 4, 1, 6) for n in range(after)]
    entries = [*other, struct.pack(f"{order}HHI", 0x112, kind, count) + value, *later]
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    return (
        head.ljust(start, b"\0") + struct.pack(f"{order}H", before + 1 + after) + b"".join(entries)
    )


def _segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def _exif_segment(tiff):
    return _segment(0xE1, b"Exif\0\0" + tiff)


def _chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


JPEG, PNG = encode("JPEG", size=(9, 7)), encode("PNG", size=(9, 7))
ICC = _segment(0xE2, b"ICC_PROFILE\0\1\2" + bytes(65_000))
PREVIEW = _segment(0xED, encode("JPEG", size=(4, 4), exif=exif(3)))
XMP = _segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="3"/>')

# Pillow can read it but not write it.
ODD_WIDTH = struct.pack("<4sIHHHIHHHHI4s", b"II*\0", 8, 2, 0x112, 3, 1, 6, 0, 0x100, 1, 1, b"")


def _in_jpeg(segments, marker=None):
    """A JPEG with additional segments at its start, or before its first segment with a marker."""
    position = 2 if marker is None else JPEG.index(bytes([0xFF, marker]))
    return JPEG[:position] + segments + JPEG[position:]


def _in_png(chunks, before=b"IDAT"):
    position = PNG.index(before) - 4
    return PNG[:position] + chunks + PNG[position:]


FOUND = {
    "first": (_in_jpeg(_exif_segment(_tiff(6))), 6),
    "big-endian": (_in_jpeg(_exif_segment(_tiff(7, ">"))), 7),
    "first entry": (_in_jpeg(_exif_segment(_tiff(5, before=0))), 5),
    "only entry": (_in_jpeg(_exif_segment(_tiff(2, ">", before=0, after=0))), 2),
    "directory at the end": (_in_jpeg(_exif_segment(_tiff(8, start=6000))), 8),
    "after JFIF": (_in_jpeg(_exif_segment(_tiff(4)), marker=0xDB), 4),
    "after padding": (_in_jpeg(b"\xff\xff\xff" + _exif_segment(_tiff(3))), 3),
    "after a profile": (_in_jpeg(2 * ICC + _exif_segment(_tiff(6, ">"))), 6),
    "after a rotated preview": (_in_jpeg(PREVIEW + _exif_segment(_tiff(6))), 6),
    "before the pixels": (_in_jpeg(_exif_segment(_tiff(7)), marker=0xDA), 7),
    "two segments": (_in_jpeg(_exif_segment(_tiff(6)) + _exif_segment(_tiff(3))), 6),
    "beside a width of one byte": (_in_jpeg(_exif_segment(ODD_WIDTH)), 6),
    "png": (_in_png(_chunk(b"eXIf", _tiff(6))), 6),
    "big-endian png": (_in_png(_chunk(b"eXIf", _tiff(5, ">"))), 5),
    "png after the pixels": (_in_png(_chunk(b"eXIf", _tiff(8)), before=b"IEND"), 8),
    "png after text": (_in_png(_chunk(b"tEXt", b"a\0eXIf") + _chunk(b"eXIf", _tiff(2))), 2),
}
UPRIGHT = {
    "no EXIF data": (JPEG, 1),
    "png without EXIF data": (PNG, 1),
    "only a rotated preview": (_in_jpeg(PREVIEW), 1),
    "only XMP": (_in_jpeg(XMP), 1),
    "a comment": (_in_jpeg(_segment(0xFE, b"Exif\0\0" + _tiff(6))), 1),
    "png with text": (_in_png(_chunk(b"tEXt", b"eXIf\0" + _tiff(6))), 1),
    "orientation 0": (_in_jpeg(_exif_segment(_tiff(0))), 1),
    "orientation 9": (_in_jpeg(_exif_segment(_tiff(9))), 1),
    "32 bits": (_in_jpeg(_exif_segment(_tiff(6, kind=4))), 1),
    "two values": (_in_jpeg(_exif_segment(_tiff(6, count=2))), 1),
    "an entry after an empty directory": (
        _in_jpeg(
            _exif_segment(
                b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)
            )
        ),
        1,
    ),
    "empty": (_in_jpeg(_exif_segment(b"")), 1),
    "empty png": (_in_png(_chunk(b"eXIf", b"")), 1),
    "truncated directory": (_in_jpeg(_exif_segment(_tiff(6)[:40])), 1),
    "no directory": (_in_jpeg(_exif_segment(b"II*\0\xff\xff\xff\xff")), 1),
    "65,535 entries": (_in_jpeg(_exif_segment(b"II*\0\x08\0\0\0\xff\xff")), 1),
    "no byte order": (_in_jpeg(_exif_segment(b"XX" + _tiff(6)[2:])), 1),
}


@pytest.mark.filterwarnings("ignore:.*EXIF")  # Pillow's, about damaged data
@pytest.mark.parametrize("name", [*FOUND, *UPRIGHT])
def test_the_orientation_is_found_and_only_a_valid_one(name):
    content, orientation = (FOUND | UPRIGHT)[name]
    assert int(exif_orientation(content)) == orientation
    stored = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(load_upright(name, content), TURN[orientation](stored))


def _orientations(files):
    dataset = tf.data.Dataset.from_tensor_slices(files).map(exif_orientation)
    return list(dataset.as_numpy_iterator())


@pytest.mark.filterwarnings("ignore:.*(EXIF|Tag data|File Read|entries)")
def test_pillow_and_tensorflow_agree_on_damaged_exif_data():
    rng, files = np.random.default_rng(0), []
    for number in range(300):
        tiff = bytearray(_tiff(6, "<>"[number % 2], before=1, after=1))
        for _ in range(rng.integers(1, 4)):
            tiff[rng.integers(len(tiff))] = rng.choice([0, 1, 3, 5, 8, 42, 255])
        files.append(_in_jpeg(_exif_segment(bytes(tiff))))
    stored, orientations = np.asarray(Image.open(io.BytesIO(JPEG))), _orientations(files)
    for content, orientation in zip(files, orientations, strict=True):
        np.testing.assert_array_equal(load_upright("face.jpg", content), TURN[orientation](stored))
    assert {1, 3, 6, 8} <= set(orientations)


def test_damaged_files_have_an_orientation():
    rng = np.random.default_rng(1)
    originals = [content for content, _ in FOUND.values()]
    files = [mutate(originals[number % len(originals)], rng) for number in range(600)]
    # These have more segments than are read.
    files += [JPEG[:2] + 10_000 * b"\xff" + JPEG[2:] + b"Exif\0\0"]
    files += [PNG[:8] + 11_000 * _chunk(b"teXt", b"") + b"eXIf"]
    orientations = _orientations(files)
    assert set(orientations) == set(range(1, 9))
    assert orientations[-2:] == [1, 1]
