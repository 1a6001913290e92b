"""Files of all kinds that `faramtn score` reads, written by other libraries."""

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq


def write_tar(path, contents, mode="w"):
    """Writes a tar archive of `{name: content}`."""
    with tarfile.open(path, mode) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_tfrecord(path, examples):
    """Writes a TFRecord file of examples, each a dict from features to bytes."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in example.items()
            }
            record = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(record.SerializeToString())
    return path


def write_parquet(path, columns):
    """Writes a Parquet file with few rows in each row group."""
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path
