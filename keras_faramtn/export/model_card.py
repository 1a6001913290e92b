"""The model card that goes with exported files: what they are, take, give, and are not for."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_faramtn import __version__
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.gpu import GPUCheck

_CARD = """\
# {name}

A network that says, for each of {count} attributes, how probable it is that a face in an image
shows it. Made by keras-faramtn {version} with Keras {keras}; {parameters:,} parameters. FAR-AMTN is
by Gao, Zhao, Liu and Wang (Computer Vision and Image Understanding, 2025, 104426); this is an
independent implementation.

## Input and output

- `images`: float32, (batch, {height}, {width}, 3), RGB, values 0 to 255. **No normalisation
  before the model**: it is inside (mean 0 and standard deviation 1 in the TFLite metadata). Crop to
  one face, framed as in training, and resize to {width} x {height} bilinearly with antialiasing,
  whatever the aspect ratio.
- `probabilities`: float32, (batch, {count}), 0 to 1, in the order of `labels.txt`. Each stands for
  itself; they don't sum to 1. The comparisons below decide at 0.5.
- The TFLite files take one image at a time. They hold the labels and the metadata that
  MediaPipe's ImageClassifier reads.

## Attributes

{attributes}

## Files, compared with the trained model

{files}

Differences are of probabilities, on {compared}; decisions are yes or no at 0.5. Milliseconds are
those of one image on the CPU of the computer that exported, on one thread. `parity.json` has the
same figures in full.{calibrated}

## Scores

{scores}

## What it is for, and what not

- For research, and for sorting or searching images whose people agree to it.
- Not for identifying anyone, nor for any decision about a person. Attributes such as Attractive,
  Young, Chubby or Male are what annotators thought they saw, not facts about the person; several
  are offensive where they are used as if they were.
- Not for faces unlike those of its training: other ages, skin tones, cultures, poses, light or
  framing than the data has will be judged worse, and nobody has measured here by how much. A
  network trained on CelebA has seen celebrities, most of them young and light-skinned. Measure on
  your own people before you rely on it.
- An answer's probability is not calibrated unless someone did so: 0.9 need not be right nine times
  in ten.

## Licence

The code is under Apache-2.0. The weights are under what their training data allows: CelebA and LFWA
are for non-commercial research only, and so is what is trained on them.
"""

_NO_SCORES = (
    "Unknown: no `metrics.json` lay beside the model. The file itself does not say what it was "
    "trained on."
)


def write_model_card(
    model: keras.Model,
    groups: AttributeGroups,
    files: Sequence[ExportedFile],
    sources: tuple[str, str],
    metrics: dict[str, Any] | None,
) -> str:
    """The text of `model_card.md`.

    Args:
        model: the network.
        groups: its attributes and groups.
        files: what was exported.
        sources: what the images to compare on and those to calibrate on are.
        metrics: the model's scores, as `evaluation.report.metrics` returns them.
    """
    _, height, width, _ = model.input_shape
    compared, calibrated_on = sources
    quantized = [file for file in files if file.place.endswith("_int8.tflite")]
    return _CARD.format(
        name=model.name,
        version=__version__,
        keras=keras.__version__,
        parameters=model.count_params(),
        count=len(groups.attributes),
        height=height,
        width=width,
        attributes="\n".join(
            f"- **{group}**: {', '.join(members)}" for group, members in groups.items()
        ),
        files=_file_table(files),
        compared=compared,
        calibrated=f" The 8 bit file took its ranges from {calibrated_on}." if quantized else "",
        scores=_scores(metrics) if metrics else _NO_SCORES,
    )


def _file_table(files: Sequence[ExportedFile]) -> str:
    lines = [
        "| file | MB | largest difference | mean | decisions alike | ms | wholly on the GPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for file in files:
        parity = file.parity
        milliseconds = "" if file.milliseconds is None else f"{file.milliseconds:.1f}"
        lines.append(
            f"| `{file.place}` | {file.size / 1e6:.2f} | {parity.largest:.1e} | {parity.mean:.1e} "
            f"| {100 * parity.agreement:.2f} % | {milliseconds} | {_gpu(file.gpu)} |"
        )
    return "\n".join(lines)


def _gpu(check: GPUCheck | None) -> str:
    if check is None:
        return ""
    if check.device is None:
        return f"{'no' if check.missing else 'yes'}, by its operations; not tried on one"
    return f"{'yes' if check.wholly and not check.missing else 'no'}, tried on {check.device}"


def _scores(metrics: dict[str, Any]) -> str:
    means = metrics["means"]
    rows = {
        "mean accuracy": means["accuracy"],
        "mean balanced accuracy": means["balanced_accuracy"],
        "mean average precision": means["average_precision"],
        "mean accuracy of always giving the majority's answer": means["majority_accuracy"],
    }
    lines = [
        f"From the `metrics.json` beside the model: {metrics['data']}, split {metrics['split']}, "
        f"{metrics['images']:,} images, measured with the Keras model.\n",
        "| score | percent |",
        "|---|---|",
    ]
    lines += [
        f"| {name} | {'not defined' if value is None else f'{100 * value:.2f}'} |"
        for name, value in rows.items()
    ]
    return "\n".join(lines)
