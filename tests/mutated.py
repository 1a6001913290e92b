"""Image files: valid ones of many formats, and damaged ones, reproducible by seeds."""

import io

import numpy as np
from PIL import ExifTags, Image


def encode(kind, mode="RGB", size=(53, 71), seed=0, **options):
    """The bytes of an image file with a few large patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 3, 3), dtype="uint8")
    image = Image.fromarray(patches).resize(size).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sixteen_bits(size=(53, 71), seed=0):
    """The bytes of a grey PNG with 16 bits, and the high byte of each pixel."""
    values = np.random.default_rng(seed).integers(0, 2**16, size[::-1], dtype="uint16")
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue(), (values >> 8).astype("uint8")


def animation(size=(53, 71)):
    frames = [Image.new("RGB", size, colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def exif(orientation):
    """EXIF data with an orientation, 1 to 8."""
    data = Image.Exif()
    data[ExifTags.Base.Make] = "Maker of cameras"
    data[ExifTags.Base.Orientation] = orientation
    return data


GOOD = {
    "jpeg": encode("JPEG"),
    "progressive jpeg": encode("JPEG", progressive=True),
    "jpeg with full colour": encode("JPEG", subsampling=0),
    "grey jpeg": encode("JPEG", "L"),
    "cmyk jpeg": encode("JPEG", "CMYK"),
    "png": encode("PNG"),
    "grey png": encode("PNG", "L"),
    "png of one bit": encode("PNG", "1"),
    "palette png": encode("PNG", "P"),
    "png with alpha": encode("PNG", "RGBA"),
    "grey png with alpha": encode("PNG", "LA"),
    "grey png of 16 bits": sixteen_bits()[0],
    "jpeg of one pixel": encode("JPEG", size=(1, 1)),
    "png of one pixel": encode("PNG", size=(1, 1)),
    "rotated jpeg": encode("JPEG", exif=exif(6)),
    "rotated png": encode("PNG", exif=exif(8)),
}


def mutate(original, rng):
    """The bytes of `original` with one to four random faults."""
    data = bytearray(original)
    for _ in range(rng.integers(1, 5)):
        fault = rng.integers(7)
        position = int(rng.integers(len(data))) if data else 0
        # Half of the faults are in the header, which is short and matters most.
        if rng.random() < 0.5:
            position = min(position, int(rng.integers(64)))
        length = int(rng.integers(1, 40))
        if fault == 0:
            data = data[:position]
        elif fault == 1:
            data[position : position + 1] = bytes([int(rng.integers(256))])
        elif fault == 2 and data:
            data[position] ^= 1 << int(rng.integers(8))
        elif fault == 3:
            del data[position : position + length]
        elif fault == 4:
            data[position:position] = rng.bytes(length)
        elif fault == 5:
            data[position:position] = data[position : position + length]
        else:
            data[position : position + length] = bytes([int(rng.choice([0, 255]))]) * length
    return bytes(data)


def mutations(count, seed=0):
    """`count` damaged files, each made from a valid one or an animated GIF."""
    rng = np.random.default_rng(seed)
    originals = [*GOOD.values(), animation()]
    return [mutate(originals[number % len(originals)], rng) for number in range(count)]
