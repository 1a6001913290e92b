"""Image files, good ones of many kinds and thousands of broken ones, all from seeds."""

import io

import numpy as np
from PIL import Image


def encode(kind, mode="RGB", size=(53, 71), seed=0, **options):
    """An image of a few large patches as a file: bytes."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 3, 3), dtype="uint8")
    image = Image.fromarray(patches).resize(size).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sixteen_bits(size=(53, 71), seed=0):
    """A grey PNG of 16 bits: its bytes, and the high byte of each pixel."""
    values = np.random.default_rng(seed).integers(0, 2**16, size[::-1], dtype="uint16")
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue(), (values >> 8).astype("uint8")


def animation(size=(53, 71)):
    frames = [Image.new("RGB", size, colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


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
}


def mutate(original, rng):
    """`original` with one to four random faults: bytes."""
    data = bytearray(original)
    for _ in range(rng.integers(1, 5)):
        fault = rng.integers(7)
        at = int(rng.integers(len(data))) if data else 0
        # Headers are short and matter most: half of the faults are there.
        if rng.random() < 0.5:
            at = min(at, int(rng.integers(64)))
        length = int(rng.integers(1, 40))
        if fault == 0:
            data = data[:at]
        elif fault == 1:
            data[at : at + 1] = bytes([int(rng.integers(256))])
        elif fault == 2 and data:
            data[at] ^= 1 << int(rng.integers(8))
        elif fault == 3:
            del data[at : at + length]
        elif fault == 4:
            data[at:at] = rng.bytes(length)
        elif fault == 5:
            data[at:at] = data[at : at + length]
        else:
            data[at : at + length] = bytes([int(rng.choice([0, 255]))]) * length
    return bytes(data)


def mutations(count, seed=0):
    """`count` broken files, each from one of the good ones or an animated GIF."""
    rng = np.random.default_rng(seed)
    originals = [*GOOD.values(), animation()]
    return [mutate(originals[number % len(originals)], rng) for number in range(count)]
