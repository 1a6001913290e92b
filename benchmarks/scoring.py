"""Measures what `faramtn score` costs, and how its speed grows with the workers.

The cost is processor time, which other load on the machine affects less than wall-clock time: one
shard is scored as in a worker of Ray, with the network of each recipe, untrained. The speed is that
of a whole run with one and with two workers, on as many cores, beside `predict_files` on the same
cores; each round measures all of them in turn. Linux only.

    pip install "keras-faramtn[ray]"
    python benchmarks/scoring.py

With `--speed-only`, it measures the speed alone.
"""

import argparse
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback address only
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from scenes import compose

from keras_faramtn import CELEBA_FRAMING, FARAMTN, export_model, predict_files, synthesize
from keras_faramtn.atomic_files import digest
from keras_faramtn.counted import counted
from keras_faramtn.experiments.recipe import read_recipe
from keras_faramtn.scoring.score import score_images
from keras_faramtn.scoring.shards import list_shards
from keras_faramtn.scoring.worker import Scoring, score_shard
from keras_faramtn.synthetic.faces import draw_faces
from keras_faramtn.threads import allowed_cores

RECIPES = ("demo", "crops_quick", "crops", "celeba_mobilenetv3", "celeba_resnet50")
SPEED_RECIPE = "crops_quick"
SIZES = ((640, 480), (1600, 1200), (4000, 3000))
"""Width and height of the photographs."""
FACES = 2
"""In each photograph."""


def exported(recipe, folder):
    """The float32 TFLite file of a recipe's network, untrained."""
    settings, _ = read_recipe(recipe)
    size = tuple(settings.data.image_size)
    model = FARAMTN(settings.model.backbone, input_shape=(*size, 3))
    export_model(model, folder / recipe, draw_faces(2, size), ["tflite_float32"])
    [path] = (folder / recipe).glob("tflite/*.tflite")
    return path, f"{settings.model.backbone}, {size[0]}x{size[1]}"


def processor_milliseconds(model, images, framing, rounds):
    """For one image, on one core: the lowest of several rounds, after one that loads the model."""
    [shard] = list_shards([images], 10**6)
    scoring = Scoring(model, digest(model), framing)
    times = []
    for _ in range(rounds + 1):
        started = time.process_time()
        score_shard(shard, scoring)
        times.append(time.process_time() - started)
    return 1000 * min(times[1:]) / len(shard.files)


def measure_costs(models, faces, photographs, rounds):
    os.environ["OMP_NUM_THREADS"] = "1"  # as Ray does
    print("Core-hours for a million, and processor time for one")
    for recipe, (model, network) in models.items():
        cost = processor_milliseconds(model, faces, None, rounds)
        print(f"face crops, {recipe:20}{network:28}{_cost(cost)}", flush=True)
    model, network = models[RECIPES[0]]
    for size, folder in photographs.items():
        cost = processor_milliseconds(model, folder, CELEBA_FRAMING, rounds)
        name = f"photographs of {size[0]}x{size[1]} px, {FACES} faces"
        print(f"{name:38}{network:22}{_cost(cost)}", flush=True)
    del os.environ["OMP_NUM_THREADS"]


def _cost(milliseconds):
    return f"{milliseconds / 3.6:8.1f} h {milliseconds:8.1f} ms"


def processor_seconds():
    """The processor time of this process and all that it has started, which are Ray's."""
    times, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        process = int(path.parent.name)
        parents[process] = int(fields[1])
        times[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_ours(process):
        while process:
            if process == os.getpid():
                return True
            process = parents.get(process, 0)
        return False

    return sum(seconds for process, seconds in times.items() if is_ours(process))


def timed(run, count):
    """Wall-clock and processor seconds for each image."""
    started, busy = time.perf_counter(), processor_seconds()
    run()
    return (time.perf_counter() - started) / count, (processor_seconds() - busy) / count


def predict_speed(cores, model, faces, count):
    os.sched_setaffinity(0, range(cores))
    next(predict_files(model, [faces]))
    return timed(lambda: list(predict_files(model, [faces])), count)


def score_speed(cores, model, faces, count, folder):
    """One worker per core; Ray and the workers have started before."""
    os.sched_setaffinity(0, range(cores))
    import ray

    options = {"address": "local", "include_dashboard": False, "object_store_memory": 200 * 2**20}
    ray.init(num_cpus=cores, log_to_driver=False, logging_level="ERROR", **options)
    with tempfile.TemporaryDirectory(dir=folder) as output:
        first = sorted(faces.iterdir())[: 4 * cores]
        score_images(first, model, Path(output) / "first", images_per_shard=1)
        times = timed(
            lambda: score_images([faces], model, Path(output) / "all", images_per_shard=250), count
        )
    ray.shutdown()
    return times


def in_new_process(function, *arguments):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_speed(model, faces, folder, rounds):
    count = len(list(faces.iterdir()))
    print(f"\n{count:,} face crops, {SPEED_RECIPE}, median of {rounds} rounds")
    rows = {}
    for _ in range(rounds):
        for cores in (1, 2):
            each = (cores, model, faces, count)
            rows.setdefault(("predict", cores), []).append(in_new_process(predict_speed, *each))
            rows.setdefault(("score", cores), []).append(in_new_process(score_speed, *each, folder))
    for (command, cores), times in rows.items():
        wall, busy = np.median(times, axis=0)
        base = np.array(rows["predict", cores])
        ratios = np.median(np.array(times) / base, axis=0)
        print(
            f"{command:8} {cores} core(s) {1 / wall:6.0f} images/s {1000 * busy:6.1f} ms of "
            f"processor time; / predict: {1 / ratios[0]:.2f} of the speed, {ratios[1]:.2f} of the "
            "processor time"
        )


def some_faces(crops, folder):
    folder.mkdir()
    for path in sorted(crops.iterdir())[:100]:
        shutil.copy(path, folder)
    return folder


def composed(count, folder):
    """Folders of photographs, by size."""
    photographs = {size: folder / f"{size[0]}" for size in SIZES}
    for size, target in photographs.items():
        target.mkdir()
        for seed in range(count):
            sizes = (size[0] / 12, size[0] / 6)
            scene, _ = compose(seed, size, count=FACES, face_sizes=sizes)
            scene.save(target / f"{seed}.jpg", quality=90)
    return photographs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3000, help="number of face crops for speed")
    parser.add_argument("--photographs", type=int, default=20, help="of each size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--speed-only", action="store_true", help="don't measure the cost")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipes = (SPEED_RECIPE,) if arguments.speed_only else RECIPES
        models = {recipe: exported(recipe, folder) for recipe in recipes}
        images = synthesize(folder / "faces", arguments.count, progress=False)
        [crops] = {path.parent for path in images.rglob("*.jpg")}
        cores = counted(allowed_cores(), "core")
        print(
            f"{cores}, Ray {version('ray')}, LiteRT {version('ai-edge-litert')}, "
            f"Python {platform.python_version()}\n"
        )
        if not arguments.speed_only:
            few = some_faces(crops, folder / "few")
            photographs = composed(arguments.photographs, folder)
            measure_costs(models, few, photographs, arguments.rounds)
        measure_speed(models[SPEED_RECIPE][0], crops, folder, arguments.rounds)


if __name__ == "__main__":
    main()
