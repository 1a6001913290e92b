"""Measures size and run time of exported TFLite files, relative to a plain MobileNetV3Large.

Each round runs every file once, so that other load on the machine affects all of them equally. A
ratio is the median over the rounds of a file's time divided by the plain network's time with the
same precision.

    python benchmarks/export_cost.py --size 224

With a trained model and its data, it measures the accuracy of each precision instead:

    python benchmarks/export_cost.py --model runs/mine/model.keras --data FOLDER
"""

import argparse
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tqdm import tqdm

from keras_faramtn import BACKBONES, CELEBA_ATTRIBUTES, FARAMTN, AttributeHead, inference_model
from keras_faramtn.counted import counted
from keras_faramtn.data.check import check_data
from keras_faramtn.data.images import load_image
from keras_faramtn.evaluation.scores import score
from keras_faramtn.export.tflite import (
    run_tflite,
    write_tflite,
    write_tflite_float16,
    write_tflite_int8,
)
from keras_faramtn.models import groups_of, load_model
from keras_faramtn.synthetic.faces import draw_faces
from keras_faramtn.threads import allowed_cores

PLAIN = "plain"
THREADS = (1, 2)


def plain(shape):
    """MobileNetV3Large of keras.applications with pooling and one dense layer of 40 units."""
    network = keras.applications.MobileNetV3Large(
        input_shape=shape, include_top=False, weights=None, pooling="avg"
    )
    head = AttributeHead(CELEBA_ATTRIBUTES, range(len(CELEBA_ATTRIBUTES)), activation="sigmoid")
    return keras.Model(network.input, head(network.output), name=PLAIN)


def with_distinct_weights(model):
    """The model with distinct weights, as after training.

    The converter stores equal weights of an untrained network once, so its file would be too small.
    """
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if np.issubdtype(variable.dtype, np.floating):
            noise = rng.uniform(-0.05, 0.05, variable.shape)
            variable.assign(variable.numpy() * (1 + noise) + noise / 50)
    return model


def write_all(model, faces, folder):
    """The TFLite files of a model, by precision."""
    writers = {
        "float32": write_tflite,
        "float16": write_tflite_float16,
        "int8": lambda model, path: write_tflite_int8(model, path, faces),
    }
    paths = {precision: folder / f"{model.name}_{precision}.tflite" for precision in writers}
    for precision, write in writers.items():
        write(model, paths[precision])
    return paths


def runner(path, threads, face):
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    [images] = interpreter.get_input_details()
    interpreter.set_tensor(images["index"], face[None].astype("float32"))
    return interpreter.invoke


def measure_cost(arguments):
    shape = (arguments.size, arguments.size, 3)
    faces = draw_faces(8, shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        files = {PLAIN: write_all(with_distinct_weights(plain(shape)), faces, Path(folder))}
        for preset in tqdm(arguments.presets, desc="Exporting", unit=" preset"):
            model = inference_model(
                with_distinct_weights(FARAMTN(preset, input_shape=shape, name=preset))
            )
            files[preset] = write_all(model, faces, Path(folder))
        runs = {
            (name, precision, threads): runner(path, threads, faces[0])
            for name, paths in files.items()
            for precision, path in paths.items()
            for threads in THREADS
        }
        seconds = {key: [] for key in runs}
        for _ in tqdm(range(arguments.rounds + 1), desc="Running", unit=" round"):
            for key, run in runs.items():
                started = time.perf_counter()
                run()
                seconds[key].append(time.perf_counter() - started)
        sizes = {
            (name, precision): path.stat().st_size
            for name, paths in files.items()
            for precision, path in paths.items()
        }
    return sizes, {key: np.array(times[1:]) for key, times in seconds.items()}


def print_cost(arguments, sizes, seconds):
    cores = counted(allowed_cores(), "core")
    print(
        f"{arguments.size}x{arguments.size}, one image, median of {arguments.rounds} rounds; "
        f"{cores}, LiteRT {version('ai-edge-litert')}, Keras {keras.__version__}, "
        f"Python {platform.python_version()}"
    )
    heads = "".join(f"{f'{threads} thread':>18}{'':2}" for threads in THREADS)
    print(f"{'':20}{'':9}{'size':>18}{'':2}{heads}")
    for (name, precision), size in sizes.items():
        cells = f"{size / 1e6:9.2f} MB {size / sizes[PLAIN, precision]:5.2f}x  "
        for threads in THREADS:
            times, base = (seconds[which, precision, threads] for which in (name, PLAIN))
            cells += f"{1000 * np.median(times):9.1f} ms {np.median(times / base):5.2f}x  "
        print(f"{name:20}{precision:9}{cells}".rstrip())


def measure_accuracy(arguments):
    model = load_model(arguments.model)
    inference, groups, size = inference_model(model), groups_of(model), model.input_shape[1:3]
    table = check_data(arguments.data, groups.attributes)
    split = table.split(arguments.split)
    faces = np.stack([load_image(image, size) for image in split.paths])
    training = table.split("train")
    chosen = np.random.default_rng(0).permutation(len(training))[: arguments.calibration]
    calibration = [load_image(training.paths[each], size) for each in chosen]
    expected = inference.predict(faces, batch_size=64, verbose=0)
    results = {"Keras": expected}
    with tempfile.TemporaryDirectory() as folder:
        for precision, path in write_all(inference, calibration, Path(folder)).items():
            results[precision] = run_tflite(path, faces)
    print(f"{arguments.data.name}, {arguments.split}: {len(faces):,} images, means in percent")
    print(f"{'':9}{'accuracy':>10}{'balanced':>10}{'precision':>11}{'equal decisions':>17}")
    for name, probabilities in results.items():
        scores = score(probabilities, split.labels, groups.attributes)
        equal = np.mean((probabilities > 0.5) == (expected > 0.5))
        print(
            f"{name:9}{100 * scores.mean.accuracy:10.3f}{100 * scores.mean.balanced_accuracy:10.3f}"
            f"{100 * scores.mean.average_precision:11.3f}{100 * equal:17.3f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--presets", nargs="*", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--model", type=Path, help="a .keras file: measures accuracy, not cost")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--calibration", type=int, default=256, help="training images for int8")
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.data is None):
        parser.error("--model and --data must be given together")
    if arguments.model:
        measure_accuracy(arguments)
    else:
        print_cost(arguments, *measure_cost(arguments))


if __name__ == "__main__":
    main()
