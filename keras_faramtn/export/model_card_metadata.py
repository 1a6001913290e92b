"""The metadata of a model card, by which the Hugging Face hub finds and shows a model."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.keras_files import WEIGHTS_FILE

TASK = "image-classification"
"""The nearest of the hub's tasks; it has none for several labels of one image."""

_TAGS = (
    "face-attribute-recognition",
    "facial-attributes",
    "multi-label-classification",
    "multi-task-learning",
)
_FORMAT_TAGS = {WEIGHTS_FILE: "keras", ".tflite": "tflite", ".onnx": "onnx", "": "tensorflow"}
_METRICS = {
    "accuracy": "Mean accuracy",
    "balanced_accuracy": "Mean balanced accuracy",
    "average_precision": "Mean average precision",
    "f1": "Mean F1",
    "calibration_error": "Mean expected calibration error",
}


def model_card_metadata(
    name: str, files: Sequence[ExportedFile], metrics: Mapping[str, Any] | None
) -> str:
    """The block in YAML that a model card begins with, as the hub specifies it.

    The licence is `other`, because that of the weights depends on their training data, which is
    not known here. No data set of the hub is named: `metrics` has the name of a folder.

    Args:
        name: the model's name.
        files: the exported files.
        metrics: the model's scores, as `evaluation.metrics_file.metrics` returns them; None if
            unknown.

    Returns:
        The block, with the lines `---` before and after it.

    Example:
        >>> print(model_card_metadata("mine", [], None).splitlines()[1])
        license: other
    """
    formats = dict.fromkeys(_format_tag(file.path) for file in files)
    content: dict[str, Any] = {
        "license": "other",
        "license_name": "terms-of-the-training-data",
        "pipeline_tag": TASK,
        "tags": [*_TAGS, *formats],
    }
    if "keras" in formats:
        content = {"library_name": "keras"} | content
    results = [] if metrics is None else _results(metrics["means"])
    if metrics is not None and results:
        content["metrics"] = [result["type"] for result in results]
        content["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": TASK, "name": "Face attribute recognition"},
                        "dataset": {
                            "type": "unknown",  # one of the hub would be named here
                            "name": metrics["data"],
                            "split": metrics["split"],
                        },
                        "metrics": results,
                    }
                ],
            }
        ]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{text}---\n"


def _format_tag(path: str) -> str:
    name = PurePosixPath(path).name
    return _FORMAT_TAGS.get(name) or _FORMAT_TAGS[PurePosixPath(path).suffix]


def _results(means: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": score, "value": means[score], "name": name}
        for score, name in _METRICS.items()
        if means[score] is not None
    ]
