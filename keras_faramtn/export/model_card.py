"""The model card of an export: use, comparisons, scores, calibration, subgroups and limits."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import keras

from keras_faramtn import __version__
from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.counted import counted
from keras_faramtn.evaluation.subgroup_rates import MIN_KNOWN, RATES
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.gpu_check import GPUCheck
from keras_faramtn.export.markdown import escape, table
from keras_faramtn.export.model_card_metadata import model_card_metadata
from keras_faramtn.framing import describe_framing
from keras_faramtn.keras_files import KERAS_FILES, WEIGHTS_FILE
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models.record import record_of

_CARD = """\
{metadata}
# {name}

A network that predicts the probability of each of {count} attributes of a face. Exported by
keras-faramtn {version} with Keras {keras}; {parameters:,} parameters. FAR-AMTN was proposed by Gao,
Zhao, Liu and Wang ([Computer Vision and Image Understanding, 2025, 104426]({doi});
[arXiv 2601.01537](https://arxiv.org/abs/2601.01537)); this is an independent implementation.

## Use

On the Hugging Face hub, `OWNER/NAME` is the name of this repository; the folder of an export can
be given instead of `hf://OWNER/NAME`. Install `pip install "keras-faramtn[hub]"`.

{use}

## Input and output

- `images`: float32, (batch, {height}, {width}, 3), RGB, values 0 to 255. **Do not normalise
  images**: the model does (so the TFLite metadata has mean 0 and standard deviation 1). Crop to one
  face, framed as in training, and resize to {width} x {height} bilinearly with antialiasing,
  ignoring the aspect ratio.
- Framing of the faces in training: {framing}.
- `probabilities`: float32, (batch, {count}), 0 to 1, in the order of `labels.txt`. The attributes
  are predicted independently, so the probabilities do not sum to 1.{outputs}

## Attributes

{attributes}

{thresholds}

## Files, compared with the trained model

{files}

Differences are absolute differences of probabilities on {image_source}; decisions are yes or no
at the thresholds above. Times are for one image on one CPU thread of the computer that exported
the files. `parity.json` has the same figures in full precision.{quantization}

## Training data

The model file does not record its training data. Describe them here before you publish the model.

## Scores

{scores}

## Calibration

{calibration}

## Subgroups

{subgroups}

## Intended use and limitations

- Intended for research, and for sorting or searching images of people who have consented.
- Not intended for identifying people or for decisions about a person. Attributes such as
  Attractive, Young, Chubby or Male record what annotators perceived, not facts about the person;
  treating them as facts can be offensive.
- Expect worse predictions for faces unlike the training data in age, skin tone, culture, pose,
  lighting or framing. CelebA, for example, shows celebrities, most of them young and light-skinned.
  Evaluate the model on images from your application before you rely on it.

## Citation

```bibtex
@article{{gao2025faramtn,
  title   = {{{{FAR-AMTN}}: Attention Multi-Task Network for Face Attribute Recognition}},
  author  = {{Gao and Zhao and Liu and Wang}},
  journal = {{Computer Vision and Image Understanding}},
  year    = {{2025}},
  pages   = {{104426}},
  doi     = {{10.1016/j.cviu.2025.104426}},
}}
```

## Licence

The code is licensed under Apache-2.0. The licence of the weights is not known to the program that
wrote this card, so it is `other`: they are subject to the terms of their training data. CelebA and
LFWA, and networks trained on them, are for non-commercial research only. Replace `license` at the
top of this file if the terms of your data allow it.
"""

_DOI = "https://doi.org/10.1016/j.cviu.2025.104426"

_NO_SCORES = (
    "Unknown: there was no `metrics.json` in the folder of the model. `faramtn evaluate` writes it."
)

_NO_SUBGROUPS = """\
How the error rates differ between groups of people has not been measured. The following command
measures it, if `DATA` has a column or an attribute that states the group of each image:

```bash
faramtn evaluate hf://OWNER/NAME --data DATA --by COLUMN
```"""

_KERAS_USE = """\
Keras, for training too; the network's outputs are logits by group of attributes:

```python
import keras, keras_faramtn

model = keras.saving.load_model("hf://OWNER/NAME")
probabilities = keras_faramtn.inference_model(model).predict(images)
```"""

_PREDICTOR_USE = """\
Predict the attributes of face crops; with `--detect`, of the faces in photographs. Only one of the
models in this repository is downloaded:

```bash
faramtn predict hf://OWNER/NAME face.jpg
```

```python
from keras_faramtn import load_predictor

predictor = load_predictor("hf://OWNER/NAME")
probabilities = predictor.predict(images)  # uint8 (batch, {height}, {width}, 3)
```"""

_TFLITE_USE = """\
LiteRT, on a phone or elsewhere, one image at a time:

```python
from ai_edge_litert.interpreter import Interpreter

run = Interpreter("{path}").get_signature_runner()
probabilities = run(images=image)["probabilities"]  # float32 (1, {height}, {width}, 3)
```

The TFLite files contain the labels and the metadata that MediaPipe's ImageClassifier reads."""

_ONNX_USE = """\
ONNX Runtime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("{path}")
[probabilities] = session.run(None, {{"images": images}})  # float32 (batch, {height}, {width}, 3)
```"""

_SAVED_MODEL_USE = """\
TensorFlow Serving:

```bash
hf download OWNER/NAME --local-dir export && cd export && docker compose up --detach
faramtn predict http://localhost:8501/v1/models/{name} face.jpg
```"""

# By the suffix of the exported file; Keras's is named.
_USES = {
    WEIGHTS_FILE: _KERAS_USE,
    ".tflite": _TFLITE_USE,
    ".onnx": _ONNX_USE,
    "": _SAVED_MODEL_USE,
}

_SCORES = {
    "accuracy": "accuracy",
    "majority_accuracy": "majority-class accuracy",
    "balanced_accuracy": "balanced accuracy",
    "average_precision": "average precision",
    "f1": "F1",
    "roc_auc": "ROC AUC",
}
_GROUP_SCORES = ("accuracy", "majority_accuracy", "balanced_accuracy", "average_precision", "f1")
_RATES = {rate: rate.replace("_", " ") for rate in RATES if rate != "positive_rate"}


def write_model_card(
    model: keras.Model,
    files: Sequence[ExportedFile],
    image_source: str,
    calibration_source: str,
    metrics: Mapping[str, Any] | None,
) -> str:
    """Writes the text of a model card, with the metadata that the Hugging Face hub reads.

    Args:
        model: a network of this package.
        files: the exported files.
        image_source: a description of the images of the comparison.
        calibration_source: a description of the images that the 8-bit file was calibrated on.
        metrics: the model's scores, as `evaluation.metrics_file.metrics` returns them; None if
            unknown.

    Returns:
        The card in Markdown.
    """
    record = record_of(model)
    _, height, width, _ = model.input_shape
    size = {"height": height, "width": width}
    quantized = any(file.path.endswith("_int8.tflite") for file in files)
    source = escape(calibration_source)
    return _CARD.format(
        **size,
        name=escape(model.name),
        metadata=model_card_metadata(model.name, files, metrics),
        version=__version__,
        keras=keras.__version__,
        parameters=model.count_params(),
        count=len(record.groups.attributes),
        doi=_DOI,
        use=_use(files, name=model.name, **size),
        framing=describe_framing(record.framing),
        outputs=_keras_outputs(files),
        attributes="\n".join(
            f"- **{escape(group)}**: {', '.join(map(escape, members))}"
            for group, members in record.groups.items()
        ),
        thresholds=_thresholds(record),
        files=_file_table(files),
        image_source=escape(image_source),
        quantization=f" The 8-bit file was calibrated on {source}." if quantized else "",
        scores=_scores(metrics) if metrics else _NO_SCORES,
        calibration=_calibration(record, metrics),
        subgroups=_subgroups((metrics or {}).get("subgroups")),
    )


def _use(files: Sequence[ExportedFile], **shown: Any) -> str:
    first = {_form(file.path): file.path for file in reversed(files)}
    uses = [text.format(path=first[form], **shown) for form, text in _USES.items() if form in first]
    if not first:
        return "There is no exported file."
    return "\n\n".join([_PREDICTOR_USE.format(**shown), *uses])


def _form(path: str) -> str:
    return WEIGHTS_FILE if path == WEIGHTS_FILE else PurePosixPath(path).suffix


def _keras_outputs(files: Sequence[ExportedFile]) -> str:
    if not any(file.path == WEIGHTS_FILE for file in files):
        return ""
    names = ", ".join(f"`{name}`" for name in KERAS_FILES)
    return f"\n- The files of Keras ({names}) have logits by group as outputs instead."


def _thresholds(record: ModelRecord) -> str:
    thresholds = record.threshold_by_attribute
    if thresholds is None:
        return f"An attribute is predicted if its probability is above {DEFAULT_THRESHOLD}."
    shown = (f"{escape(name)} {threshold:.3f}" for name, threshold in thresholds.items())
    return (
        "An attribute is predicted if its probability is above its threshold, which the files "
        f"record: {', '.join(shown)}."
    )


def _file_table(files: Sequence[ExportedFile]) -> str:
    header = ("file", "MB", "largest difference", "mean difference", "equal decisions", "ms")
    return table(
        (*header, "runs on GPU"),
        [
            (
                f"`{file.path}`",
                f"{file.size_bytes / 1e6:.2f}",
                f"{file.parity.max_difference:.1e}",
                f"{file.parity.mean_difference:.1e}",
                f"{100 * file.parity.decision_agreement:.2f} %",
                "" if file.latency_ms is None else f"{file.latency_ms:.1f}",
                _gpu_support(file.gpu),
            )
            for file in files
        ],
    )


def _gpu_support(check: GPUCheck | None) -> str:
    if check is None:
        return ""
    if check.device is None:
        return (
            f"{'no' if check.unsupported_operations else 'yes'}, by its operations; not run on one"
        )
    passed = check.fully_accelerated and not check.unsupported_operations
    text = f"{'yes' if passed else 'no'}, run on {check.device}"
    if check.max_difference is None:
        return text
    return f"{text}; largest difference from the CPU {check.max_difference:.1e}"


def _scores(metrics: Mapping[str, Any]) -> str:
    means, bootstrap = metrics["means"], metrics["bootstrap"]
    groups = [
        (escape(group), str(each["attributes"]), *(_score(each, score) for score in _GROUP_SCORES))
        for group, each in metrics["groups"].items()
    ]
    return "\n\n".join(
        [
            f"From the model's `metrics.json`: {escape(metrics['data'])}, "
            f"{metrics['split']} split, {counted(metrics['images'], 'image')}, measured with "
            f"{escape(metrics['model'])}. In percent, means over attributes, with "
            f"{100 * bootstrap['level']:.0f} % intervals from "
            f"{bootstrap['resamples']:,} bootstrap resamples of the images. The majority-class "
            f"baseline always predicts the more frequent of the {metrics['majority_of']}.",
            table(
                ("mean", "percent"), [(text, _score(means, name)) for name, text in _SCORES.items()]
            ),
            table(("group", "attributes", *(_SCORES[score] for score in _GROUP_SCORES)), groups),
        ]
    )


def _calibration(record: ModelRecord, metrics: Mapping[str, Any] | None) -> str:
    if record.temperatures is None:
        text = [
            "The probabilities were not calibrated: predictions of 0.9 may not be correct nine "
            "times out of ten. `faramtn calibrate` calibrates a model."
        ]
    else:
        low, high = min(record.temperatures), max(record.temperatures)
        text = [
            "The probabilities were calibrated: the logit of each attribute was divided by a "
            f"temperature, {low:.2f} to {high:.2f}. This is part of the weights of every file; "
            "`model.json` lists the temperatures."
        ]
    if metrics is None:
        text.append("The calibration error is unknown.")
    else:
        text.append(
            "The mean expected calibration error over attributes is "
            f"{_score(metrics['means'], 'calibration_error')} percent, on the images of the scores."
        )
        if "calibration" in metrics:
            text.append(_fitted(metrics["calibration"]))
    return "\n\n".join(text)


def _fitted(calibration: Mapping[str, Any]) -> str:
    fitted_on, held_out = calibration["fitted_on"], calibration["held_out"]
    what = "Temperatures and thresholds were" if calibration["maximise"] else "Temperatures were"
    text = f"{what} fitted on {counted(fitted_on['images'], 'image')}, {fitted_on['split']} split. "
    if calibration["fitted_on_the_evaluated_images"]:
        text += "The scores are of the same images, so they are optimistic. "
    how = "each half with what was fitted on the other, " if held_out["cross_fitted"] else ""
    before, after = (_percent(held_out[each]["calibration_error"]) for each in ("before", "after"))
    return text + (
        f"On images that nothing was fitted on ({how}{counted(held_out['images'], 'image')}, "
        f"{held_out['split']} split), the error is {after} percent; without calibration it is "
        f"{before} percent."
    )


def _subgroups(by_column: Mapping[str, Any] | None) -> str:
    if not by_column:
        return _NO_SUBGROUPS
    return "\n\n".join(
        [
            "On the images of the scores. Rates are in percent, means over the attributes that "
            "have enough images in each subgroup; the last row of a table is the number of these "
            "attributes. The fewer images a subgroup has, the larger its calibration error is by "
            "chance.",
            *(_division(column, division) for column, division in by_column.items()),
        ]
    )


def _division(column: str, division: Mapping[str, Any]) -> str:
    counts = division["attributes_in_means"]
    rows = [
        (
            escape(name) + (" (small)" if subgroup["small"] else ""),
            f"{subgroup['images']:,}",
            *(_percent(subgroup["means"][rate]) for rate in _RATES),
        )
        for name, subgroup in division["subgroups"].items()
    ]
    gaps = [
        f"- {_RATES[rate]}: {100 * gap['value']:+.1f} ({100 * gap['low']:+.1f} to "
        f"{100 * gap['high']:+.1f}), {escape(gap['of'])} minus {escape(gap['minus'])}"
        for rate, gap in division["mean_gaps"].items()
        if gap is not None
    ]
    excluded = ", ".join(map(escape, division["excluded"]))
    notes = []
    if division["unknown"]:
        notes.append(
            f"Images of unknown subgroup: {division['unknown']:,} of {division['images']:,}."
        )
    if excluded:
        notes.append(f"Not in the means: {excluded}.")
    if any(subgroup["small"] for subgroup in division["subgroups"].values()):
        notes.append(f"Small subgroups, of fewer than {MIN_KNOWN} images, are not compared.")
    differences = "Differences between subgroups in percentage points, with 95 % intervals:\n\n"
    return "\n\n".join(
        [
            f"### By {escape(column)}",
            table(
                ("subgroup", "images", *_RATES.values()),
                [*rows, ("*attributes in the mean*", "", *(str(counts[rate]) for rate in _RATES))],
            ),
            *([" ".join(notes)] if notes else []),
            differences + "\n".join(gaps)
            if gaps
            else "No two subgroups have enough images to be compared.",
        ]
    )


def _score(scores: Mapping[str, Any], name: str) -> str:
    """A score and its interval in percent."""
    interval = scores["intervals"][name]
    text = _percent(scores[name])
    if interval is None:
        return text
    return f"{text} ({' to '.join(_percent(end) for end in interval)})"


def _percent(value: float | None) -> str:
    return "not defined" if value is None else f"{100 * value:.2f}"
