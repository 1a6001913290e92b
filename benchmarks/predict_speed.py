"""Measures how fast `predict_files` is, relative to predicting one image at a time.

Each round measures every variant in turn on the same images, so that other load on the machine
affects all of them equally; compare the ratios. On a busy machine, the ratios of processor time are
more reliable than those of wall-clock time.

    python benchmarks/predict_speed.py --count 3000
"""

import argparse
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_faramtn import BACKBONES, FARAMTN, load_predictor, predict_files, synthesize
from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.inference import predictor as predictor_module

SINGLE, BATCHED = "one by one", "batches, decoding ahead"
DECODE_SINGLE, DECODE_AHEAD = "decoding one by one", "decoding in threads"
NETWORK_SINGLE, NETWORK_BATCHED = "network, one by one", "network, in batches"


def measured(run):
    """Wall-clock and processor seconds of a call, and what it returns."""
    started, busy = time.perf_counter(), time.process_time()
    result = run()
    return (time.perf_counter() - started, time.process_time() - busy), result


def measure_round(predictor, paths):
    """Measures each variant once on all images, and checks that the probabilities are equal."""
    size, batch_size = predictor.image_size, predictor.batch_size
    times = {}

    def one_by_one():
        return [predictor.predict(load_image(path, size)[None])[0] for path in paths]

    def batched():
        return [list(each.values()) for _, each in predict_files("loaded.keras", paths)]

    times[SINGLE], single = measured(one_by_one)
    times[BATCHED], together = measured(batched)
    np.testing.assert_allclose(together, single, atol=1e-5)
    times[DECODE_SINGLE], _ = measured(lambda: [load_image(path, size) for path in paths])
    times[DECODE_AHEAD], _ = measured(
        lambda: [None for _ in predictor_module.load_images(paths, size, ahead=batch_size)]
    )
    batch = np.stack([load_image(path, size) for path in paths[:batch_size]])
    batches = len(paths) // batch_size
    times[NETWORK_SINGLE], _ = measured(
        lambda: [predictor.predict(batch[:1]) for _ in range(batches * batch_size)]
    )
    times[NETWORK_BATCHED], _ = measured(lambda: [predictor.predict(batch) for _ in range(batches)])
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder of images; default: synthetic faces")
    parser.add_argument("--count", type=int, default=3000, help="maximum number of images")
    parser.add_argument("--model", type=Path, help="a .keras file; default: an untrained network")
    parser.add_argument("--backbone", default="mobilenetv3_small", choices=BACKBONES)
    parser.add_argument("--size", type=int, nargs="+", default=[96, 80], help="height and width")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        model = arguments.model or Path(temporary) / "model.keras"
        if arguments.model is None:
            shape = (arguments.size[0], arguments.size[-1], 3)
            FARAMTN(arguments.backbone, input_shape=shape).save(model)
        images = arguments.images or synthesize(Path(temporary) / "faces", arguments.count)
        paths = find_images([images])[: arguments.count]
        predictor = load_predictor(model)
        predictor_module.load_predictor = lambda path: predictor  # loaded once for all rounds
        measure_round(predictor, paths[: 2 * predictor.batch_size])  # compiles the network
        rounds = [measure_round(predictor, paths) for _ in range(arguments.rounds)]

    print(
        f"{len(paths):,} images, {arguments.model or arguments.backbone}, "
        f"{'x'.join(map(str, predictor.image_size))}, median of {arguments.rounds} rounds; "
        f"{os.cpu_count()} cores, Keras {version('keras')}, TensorFlow {version('tensorflow')}, "
        f"Python {platform.python_version()}"
    )
    print(f"{'':26}{'images/s':>10}{'/ one by one':>14}{'processor':>14}{'/ one by one':>14}")
    bases = {BATCHED: SINGLE, DECODE_AHEAD: DECODE_SINGLE, NETWORK_BATCHED: NETWORK_SINGLE}
    for name in rounds[0]:
        cells = f"{len(paths) / np.median([each[name][0] for each in rounds]):10,.0f}"
        for clock in range(2):
            if clock:
                each = np.median([times[name][1] for times in rounds]) / len(paths)
                cells += f"{1000 * each:11.2f} ms"
            base = bases.get(name, name)
            ratio = np.median([times[base][clock] / times[name][clock] for times in rounds])
            cells += f"{ratio:13.2f}x"
        print(f"{name:26}{cells}")


if __name__ == "__main__":
    main()
