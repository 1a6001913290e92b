"""The model card of an export: input, output, comparisons, scores and intended use."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_faramtn import __version__
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.gpu_check import GPUCheck
from keras_faramtn.framing import describe_framing
from keras_faramtn.models import groups_of
from keras_faramtn.models.record import record_of

_CARD = """\
# {name}

A network that predicts the probability of each of {count} attributes of a face. Exported by
keras-faramtn {version} with Keras {keras}; {parameters:,} parameters. FAR-AMTN was proposed by Gao,
Zhao, Liu and Wang (Computer Vision and Image Understanding, 2025, 104426); this is an independent
implementation.

## Input and output

- `images`: float32, (batch, {height}, {width}, 3), RGB, values 0 to 255. **Do not normalise
  images**: the model does (so the TFLite metadata has mean 0 and standard deviation 1). Crop to one
  face, framed as in training, and resize to {width} x {height} bilinearly with antialiasing,
  ignoring the aspect ratio.
- Framing of the faces in training: {framing}.
- `probabilities`: float32, (batch, {count}), 0 to 1, in the order of `labels.txt`. The attributes
  are predicted independently, so the probabilities do not sum to 1. The comparisons below use a
  threshold of 0.5.
- The TFLite files take one image at a time. They contain the labels and the metadata that
  MediaPipe's ImageClassifier reads.

## Attributes

{attributes}

## Files, compared with the trained model

{files}

Differences are absolute differences of probabilities on {image_source}; decisions are yes or no
at a threshold of 0.5. Times are for one image on one CPU thread of the computer that exported it.
`parity.json` has the same figures in full precision.{calibration}

## Scores

{scores}

## Intended use and limitations

- Intended for research, and for sorting or searching images of people who have consented.
- Not intended for identifying people or for decisions about a person. Attributes such as
  Attractive, Young, Chubby or Male record what annotators perceived, not facts about the person;
  treating them as facts can be offensive.
- Expect worse predictions for faces unlike the training data in age, skin tone, culture, pose,
  lighting or framing. How much worse has not been measured here. CelebA shows celebrities, most of
  them young and light-skinned. Evaluate it on images from your application before you rely on it.
- The probabilities are not calibrated unless that was done separately: predictions of 0.9 may not
  be correct nine times out of ten.

## Licence

The code is licensed under Apache-2.0. The weights are subject to the terms of their training data:
CelebA and LFWA, and networks trained on them, are for non-commercial research only.
"""

_NO_SCORES = (
    "Unknown: there was no `metrics.json` in the folder of the model, and the model file does not "
    "record its training data."
)


def write_model_card(
    model: keras.Model,
    files: Sequence[ExportedFile],
    image_source: str,
    calibration_source: str,
    metrics: dict[str, Any] | None,
) -> str:
    """Writes the text of `model_card.md`.

    Args:
        model: a network of this package.
        files: the exported files.
        image_source: a description of the images of the comparison.
        calibration_source: a description of the images that the 8-bit file was calibrated on.
        metrics: the model's scores, as `evaluation.metrics_file.metrics` returns them; None if unknown.

    Returns:
        The card in Markdown.
    """
    groups = groups_of(model)
    _, height, width, _ = model.input_shape
    quantized = any(file.path.endswith("_int8.tflite") for file in files)
    calibration = f" The 8-bit file was calibrated on {calibration_source}." if quantized else ""
    return _CARD.format(
        name=model.name,
        version=__version__,
        keras=keras.__version__,
        parameters=model.count_params(),
        count=len(groups.attributes),
        height=height,
        width=width,
        framing=describe_framing(record_of(model).framing),
        attributes="\n".join(
            f"- **{group}**: {', '.join(members)}" for group, members in groups.items()
        ),
        files=_file_table(files),
        image_source=image_source,
        calibration=calibration,
        scores=_scores(metrics) if metrics else _NO_SCORES,
    )


def _file_table(files: Sequence[ExportedFile]) -> str:
    lines = [
        "| file | MB | largest difference | mean difference | equal decisions | ms | runs on GPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for file in files:
        parity = file.parity
        latency = "" if file.latency_ms is None else f"{file.latency_ms:.1f}"
        lines.append(
            f"| `{file.path}` | {file.size_bytes / 1e6:.2f} | {parity.max_difference:.1e} "
            f"| {parity.mean_difference:.1e} | {100 * parity.decision_agreement:.2f} % "
            f"| {latency} | {_gpu_support(file.gpu)} |"
        )
    return "\n".join(lines)


def _gpu_support(check: GPUCheck | None) -> str:
    if check is None:
        return ""
    if check.device is None:
        return (
            f"{'no' if check.unsupported_operations else 'yes'}, by its operations; not run on one"
        )
    passed = check.fully_accelerated and not check.unsupported_operations
    return f"{'yes' if passed else 'no'}, run on {check.device}"


def _scores(metrics: dict[str, Any]) -> str:
    means = metrics["means"]
    rows = {
        "mean accuracy": means["accuracy"],
        "mean balanced accuracy": means["balanced_accuracy"],
        "mean average precision": means["average_precision"],
        "mean accuracy of the majority-class baseline": means["majority_accuracy"],
    }
    lines = [
        f"From the model's `metrics.json`: {metrics['data']}, split {metrics['split']}, "
        f"{metrics['images']:,} images, measured with the Keras model.\n",
        "| score | percent |",
        "|---|---|",
    ]
    lines += [
        f"| {name} | {'not defined' if value is None else f'{100 * value:.2f}'} |"
        for name, value in rows.items()
    ]
    return "\n".join(lines)
