import io

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra ray")

import pyarrow as pa
from PIL import Image
from scoring.sources import write_parquet, write_tar, write_tfrecord

from keras_faramtn.scoring.readers import read_shard
from keras_faramtn.scoring.shards import list_shards


def _encoded(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


IMAGES = [_encoded(seed) for seed in range(5)]
NAMES = [f"sample{number}" for number in range(5)]


def _read(path):
    [shard] = list_shards([path], 1)
    return list(read_shard(shard))


def _tar(path):
    return write_tar(
        path,
        {f"{name}.png": image for name, image in zip(NAMES, IMAGES, strict=True)}
        | {f"{name}.json": b"{}" for name in NAMES},
    )


def _tfrecord(path):
    pairs = zip(NAMES, IMAGES, strict=True)
    return write_tfrecord(
        path, [{"image/encoded": image, "image/filename": name.encode()} for name, image in pairs]
    )


def _parquet(path):
    return write_parquet(path, {"other": range(5), "id": NAMES, "jpg": IMAGES})


WRITERS = {"faces.tar": _tar, "faces.tfrecord": _tfrecord, "faces.parquet": _parquet}


@pytest.mark.parametrize("name", WRITERS)
def test_images_of_a_shard_come_with_their_keys(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    images = _read(path)
    assert [image.content for image in images] == IMAGES
    suffix = ".png" if name == "faces.tar" else ""
    assert [image.key for image in images] == [key + suffix for key in NAMES]
    assert {image.shard for image in images} == {str(path)}
    assert not any(image.error for image in images)


def test_images_without_keys_are_numbered(tmp_path):
    structs = [{"bytes": image, "path": None} for image in IMAGES]
    parquet = write_parquet(tmp_path / "faces.parquet", {"image": structs})
    records = write_tfrecord(tmp_path / "a.tfrecord", [{"image": image} for image in IMAGES])
    for path in (parquet, records):
        images = _read(path)
        assert [image.key for image in images] == list("01234")
        assert [image.content for image in images] == IMAGES


def test_where_the_key_is_null_the_number_identifies_an_image(tmp_path):
    columns = {"filename": list("xyzvw"), "id": [7, None, 0, None, 5], "image": IMAGES}
    parquet = write_parquet(tmp_path / "faces.parquet", columns)
    assert [image.key for image in _read(parquet)] == ["7", "1", "0", "3", "5"]
    import tensorflow as tf

    records = write_tfrecord(tmp_path / "a.tfrecord", [{"image": image} for image in IMAGES[:2]])
    with tf.io.TFRecordWriter(str(records)) as writer:
        for image in IMAGES[:2]:
            example = tf.train.Example()
            example.features.feature["image"].bytes_list.value.append(image)
            example.features.feature["key"].bytes_list.SetInParent()
            writer.write(example.SerializeToString())
    assert [image.key for image in _read(records)] == ["0", "1"]


def test_a_compressed_tar_is_read(tmp_path):
    path = write_tar(tmp_path / "faces.tar.gz", {"a.jpg": IMAGES[0]}, "w:gz")
    assert [image.content for image in _read(path)] == IMAGES[:1]


# A TFRecord file that ends between two records is complete: nothing marks its end.
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.55, 0.9, 0.99])
def test_a_half_written_shard_ends_with_an_error(tmp_path, name, fraction):
    path = WRITERS[name](tmp_path / name)
    content = path.read_bytes().rstrip(b"\0") if name.endswith(".tar") else path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    *images, last = _read(path)
    assert [image.content for image in images] == IMAGES[: len(images)]
    assert last.key is None
    assert last.shard == str(path)
    assert str(path) in str(last.error)


def test_a_tar_that_ends_after_any_complete_member_is_incomplete(tmp_path):
    path = write_tar(tmp_path / "faces.tar", dict.fromkeys(("a.png", "b.png"), bytes(512)))
    content = path.read_bytes()
    for size in (1024, 2048):  # after the first and the second member
        path.write_bytes(content[:size])
        *images, last = _read(path)
        assert len(images) == size // 1024
        assert "its end is missing" in str(last.error)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("content", [b"no shard " * 200, IMAGES[0], b""])
def test_a_file_of_another_kind_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    [image] = _read(tmp_path / name)
    # A TFRecord file without a byte is complete.
    empty = name == "faces.tfrecord" and not content
    assert ("there is no image" if empty else "can't be read") in str(image.error)


def test_a_shard_without_images_is_an_error(tmp_path):
    tar = write_tar(tmp_path / "faces.tar", {"a.txt": b"text"})
    parquet = write_parquet(tmp_path / "faces.parquet", {"face": IMAGES})
    records = write_tfrecord(tmp_path / "faces.tfrecord", [{"face": IMAGES[0]}])
    structs = [{"path": "a.jpg", "bytes_": IMAGES[0]}]
    struct = write_parquet(tmp_path / "struct.parquet", {"image": structs})
    empty = write_parquet(tmp_path / "empty.parquet", {"image": pa.array([], pa.binary())})
    no_records = write_tfrecord(tmp_path / "empty.tfrecord", [])
    for path, words in (
        (tar, "no image"),
        (parquet, "has face"),
        (records, "has face"),
        (struct, "no column holds the encoded images; it has image"),
        (empty, "no image in this Parquet file"),
        (no_records, "no image in this TFRecord file"),
    ):
        [image] = _read(path)
        assert words in str(image.error)
        assert str(path) in str(image.error)
