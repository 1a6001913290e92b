"""What FAR-AMTN predicts if the gates of WSGSA no longer depend on the image.

python benchmarks/components/gates.py --data FOLDER --runs comparison/runs/FARAMTN --to results

The runs are those of one variant of `faramtn compare`, one for each seed.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from constant_gates import describe_gates, with_constant_gates

from keras_faramtn import inference_model, load_model
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, decode_images, make_dataset
from keras_faramtn.evaluation.metrics_file import describe_versions, versions
from keras_faramtn.evaluation.paired_comparison import COMPARED_SCORES, paired_comparison
from keras_faramtn.evaluation.scores import positive_rates
from keras_faramtn.models import groups_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    files = sorted(arguments.runs.glob("seed_*/model.keras"))
    models = [load_model(file) for file in files]
    table = check_data(arguments.data, groups_of(models[0]).attributes)
    table = decode_images(table, models[0].input_shape[1:3])
    scored = table.split("validation")
    images = make_dataset(
        scored, groups_of(models[0]), models[0].input_shape[1:3], EVALUATION_BATCH_SIZE
    ).map(lambda x, _: x)
    gates, probabilities = [], {"FARAMTN": [], "gates_at_their_mean": []}
    for model in models:
        network = inference_model(model)
        probabilities["FARAMTN"].append(network.predict(images, verbose=0))
        gates.append(with_constant_gates(model, images))
        probabilities["gates_at_their_mean"].append(network.predict(images, verbose=0))
    result = paired_comparison(
        {name: np.stack(each) for name, each in probabilities.items()},
        scored.labels,
        scored.attributes,
        ["FARAMTN"],
        training_rates=positive_rates(table.split("train").labels),
    )
    differences = result["differences"]["FARAMTN"]["gates_at_their_mean"]
    lines = [
        f"Gates at their mean minus gates, in percentage points, on {len(scored):,} images of "
        f"{arguments.data.resolve().name}, with the 95 % interval over images and {len(files)} "
        "seeds:\n"
    ]
    for score in COMPARED_SCORES:
        mean, low, high = (100 * differences[score][key] for key in ("mean", "low", "high"))
        lines.append(f"- {score.replace('_', ' ')}: {mean:+.2f} [{low:+.2f}, {high:+.2f}]")
    seeds = ", ".join(file.parent.name.removeprefix("seed_") for file in files)
    lines += [
        "",
        describe_gates(gates),
        f"Seeds {seeds}. {describe_versions(versions())}.\n",
        f"`python benchmarks/components/gates.py --data {arguments.data.resolve().name} "
        f"--runs {arguments.runs}`\n",
    ]
    text = "\n".join(lines)
    arguments.to.mkdir(parents=True, exist_ok=True)
    (arguments.to / "gates.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
