"""Reads an image file's EXIF orientation and turns the image upright, with TensorFlow operations.

A served graph has no Python, so it reads the orientation from the bytes. `images.py` does the same
for Pillow, with the same rules.
"""

import struct
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"

# What EXIF data begins with: in a JPEG, the start of a segment's content (Exif 2.32, section
# 4.7.2); in a PNG, the type of a chunk (PNG, third edition, section 11.3.4.5).
_JPEG_EXIF, _PNG_EXIF = b"Exif\0\0", b"eXIf"

# Bounds for hostile files. In a JPEG, EXIF data is in one of the first segments. In a PNG, all
# chunks of pixels may precede it; libpng writes 8 KiB per chunk.
_MAX_SEGMENTS = 1000
_MAX_CHUNKS = 10_000

_ENTRY_WORDS = 6  # of 16 bits, in a TIFF directory: TIFF 6.0, section 2
_ORIENTATION, _SHORT = 0x0112, 3

# TIFF 6.0, section 8: what turns an image of orientation 1 to 8 upright. Height and width are
# exchanged first; then the axes height, width and channels are reversed.
_EXCHANGE_AXES = (False, False, False, False, True, True, True, True)
_REVERSE_AXES = (
    (False, False, False),
    (False, True, False),
    (True, True, False),
    (True, False, False),
    (False, False, False),
    (False, True, False),
    (True, True, False),
    (True, False, False),
)

_ReadSegment = Callable[[Any], tuple[Any, Any, Any, Any]]
"""From the position of a segment: whether it is EXIF data, whether it is the last one to be read,
and where its content begins and ends."""


def is_jpeg(encoded: Any) -> Any:
    """Whether a file, a scalar string tensor, begins as a JPEG file."""
    return tf.strings.substr(encoded, 0, len(_JPEG_START)) == _JPEG_START


def is_png(encoded: Any) -> Any:
    """Whether a file, a scalar string tensor, begins as a PNG file."""
    return tf.strings.substr(encoded, 0, len(_PNG_START)) == _PNG_START


def may_have_exif(encoded: Any) -> Any:
    """Whether a JPEG or PNG file, a scalar string tensor, contains the mark of EXIF data anywhere.

    This is a single search: a hundredth of the time of decoding.
    """
    mark = tf.where(is_jpeg(encoded), _JPEG_EXIF, _PNG_EXIF)
    # `tf.strings.split` makes a ragged tensor, which takes longer than the search.
    return tf.size(tf.raw_ops.StringSplitV2(input=[encoded], sep=mark).values) > 1


def exif_orientation(encoded: Any) -> Any:
    """The orientation of a JPEG or PNG file according to its EXIF data.

    Args:
        encoded: scalar string tensor: the file, possibly damaged.

    Returns:
        int32 scalar, 1 to 8 as in TIFF 6.0, section 8, from a JPEG's first EXIF segment or a PNG's
        `eXIf` chunk; 1, which is upright, without valid EXIF data. An orientation in XMP data is
        ignored, as by browsers.

    Example:
        >>> import io
        >>> from PIL import ExifTags, Image
        >>> exif, file = Image.Exif(), io.BytesIO()
        >>> exif[ExifTags.Base.Orientation] = 6
        >>> Image.new("RGB", (30, 20)).save(file, "JPEG", exif=exif)
        >>> int(exif_orientation(file.getvalue()))
        6
    """
    tiff = tf.cond(is_jpeg(encoded), lambda: _jpeg_exif(encoded), lambda: _png_exif(encoded))
    return _tiff_orientation(tiff)


def exchanges_axes(orientation: Any) -> Any:
    """Whether an image of this orientation, 1 to 8, has its height and width exchanged."""
    return tf.gather(_EXCHANGE_AXES, orientation - 1)


def turn_upright(image: Any, orientation: Any) -> Any:
    """Rotates and mirrors an image as its orientation requires.

    Args:
        image: a tensor `(height, width, channels)` as it is stored.
        orientation: integer scalar, 1 to 8, from `exif_orientation`.

    Returns:
        The upright image, `(width, height, channels)` if `exchanges_axes(orientation)`.

    Example:
        >>> image = tf.reshape(tf.range(6), (2, 3, 1))
        >>> turn_upright(image, 6)[:, :, 0].numpy().tolist()
        [[3, 0], [4, 1], [5, 2]]
    """
    axes = tf.where(exchanges_axes(orientation), (1, 0, 2), (0, 1, 2))
    # Much faster than slices with negative steps. `tf.reverse` needs to know the axes in advance.
    reverse = tf.gather(_REVERSE_AXES, orientation - 1)
    return tf.raw_ops.Reverse(tensor=tf.transpose(image, axes), dims=reverse)


def _jpeg_exif(encoded: Any) -> Any:
    """The content of a JPEG's first EXIF segment; empty if there is none."""
    exif = struct.unpack(">3H", _JPEG_EXIF)

    def read(position: Any) -> tuple[Any, Any, Any, Any]:
        # ITU T.81, section B.1.1: a marker of 0xFF and a code, which more bytes 0xFF may precede,
        # and the length of the rest. The last markers are those of the pixels and of the end.
        head = _words(_substring(encoded, position, 10), 5)
        marker = head[0]
        found = (marker == 0xFFE1) & tf.reduce_all(head[2:] == exif)
        last = (marker < 0xFF00) | (marker == 0xFFDA) | (marker == 0xFFD9)
        size = tf.where(marker == 0xFFFF, tf.constant(1, tf.int64), 2 + head[1])
        return found, last, position + 10, position + size

    return _find(encoded, read, start=len(_JPEG_START) - 1, gap=0, limit=_MAX_SEGMENTS)


def _png_exif(encoded: Any) -> Any:
    """The content of a PNG's EXIF chunk; empty if there is none."""
    exif = struct.unpack(">2H", _PNG_EXIF)
    end = struct.unpack(">2H", b"IEND")

    def read(position: Any) -> tuple[Any, Any, Any, Any]:
        # PNG, section 5.3: the length of the content, a type of four letters, the content, and a
        # checksum of four bytes.
        head = _words(_substring(encoded, position, 8), 4)
        found = tf.reduce_all(head[2:] == exif)
        last = tf.reduce_all(head[2:] == end) | (head[2] == 0)
        begin = position + 8
        return found, last, begin, begin + 65536 * head[0] + head[1]

    return _find(encoded, read, start=len(_PNG_START), gap=4, limit=_MAX_CHUNKS)


def _find(encoded: Any, read: _ReadSegment, *, start: int, gap: int, limit: int) -> Any:
    """The content of the first segment of EXIF data; empty if there is none.

    Args:
        encoded: scalar string tensor: the file.
        read: reads the head of a segment.
        start: the position of the first segment.
        gap: the number of bytes between a segment's content and the next segment.
        limit: how many segments are read.
    """

    def advance(position: Any, searching: Any, begin: Any, end: Any) -> tuple[Any, Any, Any, Any]:
        found, last, begin, end = read(position)
        return end + gap, ~(found | last), begin, tf.where(found, end, begin)

    first = tf.constant(start, tf.int64)
    _, _, begin, end = tf.while_loop(
        lambda position, searching, begin, end: searching,
        advance,
        (first, True, first, first),
        maximum_iterations=limit,
    )
    return _substring(encoded, begin, tf.maximum(end - begin, 0))


def _tiff_orientation(tiff: Any) -> Any:
    """The orientation in EXIF data, which has the structure of a TIFF file (TIFF 6.0, section 2).

    Valid is an entry of one 16-bit integer, 1 to 8, in the first directory. If there are several,
    the first one counts.
    """
    big_endian = tf.strings.substr(tiff, 0, 2) == b"MM"

    def words(position: Any, count: Any) -> Any:
        text = _substring(tiff, position, 2 * count)
        return tf.where(big_endian, _words(text, count), _words(text, count, little_endian=True))

    # A 32-bit integer is two words, whose order is that of their bytes.
    weights = tf.where(big_endian, tf.constant((65536, 1), tf.int64), (1, 65536))
    head = words(tf.constant(0, tf.int64), 4)
    start = tf.reduce_sum(head[2:] * weights)
    count = words(start, 1)[0]
    entries = words(start + 2, tf.maximum(count, 1) * _ENTRY_WORDS)
    entries = tf.reshape(entries, (-1, _ENTRY_WORDS))
    one_short = tf.where(big_endian, tf.constant((0, 1), tf.int64), (1, 0))
    wanted = tf.concat([(_ORIENTATION, _SHORT), one_short], 0)
    valid = tf.reduce_all(entries[:, :4] == wanted, 1) & (entries[:, 4] >= 1) & (entries[:, 4] <= 8)
    is_tiff = (head[1] == 42) & (big_endian | (head[0] == 0x4949)) & (count > 0)
    orientations = tf.boolean_mask(entries[:, 4], valid & is_tiff)
    return tf.cast(tf.concat([orientations, [1]], 0)[0], tf.int32)


def _words(text: Any, count: Any, *, little_endian: bool = False) -> Any:
    """The bytes of a string as 16-bit integers, int64 `(count,)`, zeros after the string's end."""
    words = tf.io.decode_raw(text, tf.uint16, little_endian, tf.cast(2 * count, tf.int32))
    return tf.cast(words, tf.int64)


def _substring(text: Any, position: Any, count: Any) -> Any:
    """Part of a string; its end, or nothing, where the string is too short."""
    length = tf.cast(tf.strings.length(text), tf.int64)
    return tf.strings.substr(text, tf.minimum(position, length), tf.cast(count, tf.int64))
