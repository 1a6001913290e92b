"""Measures the throughput of the input pipeline, relative to decoding alone and Keras's utility.

Each round measures every variant in turn, with the same images and threads, so that other load on
the machine affects all of them equally; compare the ratios. On a busy machine, the ratios of
processor time are more reliable than those of wall-clock time.

    python benchmarks/input_pipeline.py --data FOLDER --size 112
    python benchmarks/input_pipeline.py --data FOLDER --size 160 --layers RandAugment GridMask
"""

import argparse
import contextlib
import io
import os
import platform
import tempfile
import time
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.counted import counted
from keras_faramtn.data import pipeline
from keras_faramtn.data.augmentation import Augmentation
from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.synthetic.dataset import synthesize
from keras_faramtn.threads import allowed_cores

DECODING, KERAS = "decoding and resizing only", "image_dataset_from_directory"
FIRST, MEMORY, DISK = "first pass", "later passes, from memory", "later passes, from disk"
TEN = "ten passes, including the first"
WRITING, AUGMENTED = "first pass, writing to disk", "later passes, memory, augmented"
LAYER = "and augmented by {}"

# The arguments of layers whose defaults change nothing, or have to be given.
ARGUMENTS = {
    "GridMask": {"ratio_factor": 0.4},
    "RandomChannelShift": {"factor": 0.1},
    "RandomColorJitter": {
        "brightness_factor": 0.1,
        "contrast_factor": 0.1,
        "saturation_factor": [0.4, 0.6],
        "hue_factor": 0.05,
    },
    "RandomJpegQuality": {"factor": [30, 90]},
}


def run_through(dataset):
    """Wall-clock seconds, processor seconds and the number of images of one pass."""
    started, busy = time.perf_counter(), time.process_time()
    count = int(dataset.reduce(0, lambda n, batch: n + tf.shape(tf.nest.flatten(batch)[0])[0]))
    return time.perf_counter() - started, time.process_time() - busy, count


def measure_round(table, groups, size, batch, links, layers):
    """Measures one pass of each variant; `layers` are names of layers for augmentation."""
    paths = [str(image) for image in table.paths]
    decoding = tf.data.Dataset.from_tensor_slices(paths).map(
        lambda path: decode_and_resize(tf.io.read_file(path), size)[None],
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        utility = keras.utils.image_dataset_from_directory(
            links, labels=None, image_size=size, batch_size=batch
        )

    def package(**options):
        return pipeline.make_dataset(table, groups, size, batch, shuffle=True, **options)

    times = {}
    times[DECODING] = run_through(decoding)
    in_memory = package()
    times[FIRST] = run_through(in_memory)
    times[KERAS] = run_through(utility)
    times[MEMORY] = run_through(in_memory)
    times[TEN] = tuple(
        (first + 9 * later) / 10 for first, later in zip(times[FIRST], times[MEMORY], strict=True)
    )
    augmented = package(augmentation=Augmentation())
    run_through(augmented)
    times[AUGMENTED] = run_through(augmented)
    for layer in layers:
        augmentation = Augmentation(layers=[{layer: ARGUMENTS.get(layer)}])
        augmented = package(augmentation=augmentation)
        run_through(augmented)
        times[LAYER.format(layer)] = run_through(augmented)
    with (
        mock.patch.object(pipeline, "_MEMORY_BYTES", 0),
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        started, busy = time.perf_counter(), time.process_time()
        on_disk = package(cache=Path(folder))
        setup, busy = time.perf_counter() - started, time.process_time() - busy
        seconds, processor, count = run_through(on_disk)
        times[WRITING] = setup + seconds, busy + processor, count
        times[DISK] = run_through(on_disk)
    assert len({count for *_, count in times.values()}) == 1
    return {name: (seconds, processor) for name, (seconds, processor, _) in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a data set; default: synthetic faces")
    parser.add_argument("--count", type=int, default=4000, help="maximum number of images")
    parser.add_argument("--size", type=int, nargs="+", default=[112], help="height and width")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", nargs="*", default=[], help="layers of Keras or KerasCV")
    arguments = parser.parse_args()
    size = (arguments.size[0], arguments.size[-1])

    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or synthesize(Path(folder) / "faces", arguments.count)
        table = read_dataset(data)
        table = table.take(slice(arguments.count))
        groups = AttributeGroups({"all": table.attributes}, table.attributes)
        links = Path(folder) / "links"
        links.mkdir()
        for number, image in enumerate(table.paths):
            (links / f"{number}{image.suffix}").symlink_to(image.resolve())
        rounds = [
            measure_round(table, groups, size, arguments.batch, links, arguments.layers)
            for _ in range(arguments.rounds + 1)
        ][1:]

    cores = counted(allowed_cores(), "core")
    print(
        f"{len(table):,} images to {size[0]}x{size[1]}, batches of {arguments.batch}, median of "
        f"{arguments.rounds} rounds; {cores}, Keras {keras.__version__}, TensorFlow "
        f"{tf.__version__}, Python {platform.python_version()}"
    )
    head = f"{'/ decoding':>13}{'/ Keras':>10}"
    print(f"{'':36}{'images/s':>10}{head}{'processor':>14}{head}")
    for name in rounds[0]:
        cells = []
        for clock in range(2):
            seconds = np.median([times[name][clock] for times in rounds]) / len(table)
            # Ratios within each round, since other load slows down the whole round.
            ratios = [
                np.median([times[other][clock] / times[name][clock] for times in rounds])
                for other in (DECODING, KERAS)
            ]
            cells.append(f"{1 / seconds:10,.0f}" if clock == 0 else f"{1000 * seconds:11.3f} ms")
            cells += [f"{ratio:{width}.2f}x" for ratio, width in zip(ratios, (12, 9), strict=True)]
        print(f"{name:36}{''.join(cells)}")


if __name__ == "__main__":
    main()
