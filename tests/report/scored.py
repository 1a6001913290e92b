"""Scored models made of arrays, for tests of their report."""

from pathlib import Path

import numpy as np
from PIL import Image

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.metrics_file import metrics, versions
from keras_faramtn.evaluation.scores import score
from keras_faramtn.report.model_report import model_content
from keras_faramtn.report.page import render
from keras_faramtn.report.scored_model import ScoredModel


def scored_model(folder, names, labels=None, probabilities=None, *, images=40, **fields):
    """A model with random predictions that follow the labels; images are taller than wide."""
    rng = np.random.default_rng(0)
    shape = (images if labels is None else len(labels), len(names))
    if labels is None:
        labels = rng.choice([1, 0, -1], shape, p=[0.4, 0.5, 0.1]).astype("int8")
    if probabilities is None:
        noise = rng.normal(0, 0.3, shape)
        probabilities = np.clip(0.5 + 0.4 * (labels - 0.5) + noise, 0, 1).astype("float32")
    half = max(1, len(names) // 2)
    groups = {"first": names[:half], "second": names[half:]}
    groups = AttributeGroups({name: each for name, each in groups.items() if each}, names)
    thresholds = np.full(len(names), 0.5)
    scores = score(probabilities, labels, names, thresholds)
    intervals = score_intervals(scores, groups, probabilities, labels, resamples=50)
    content = metrics(scores, intervals, groups, data="faces", split="test", model="model")
    model = {"metrics": content, "groups": groups, "paths": write_images(folder, shape[0])}
    model |= {"probabilities": probabilities, "labels": labels, "thresholds": thresholds}
    return ScoredModel(**({"history": {}} | model | fields))


def write_images(folder, count):
    """Random images; their names contain characters that HTML escapes."""
    rng = np.random.default_rng(1)
    paths = [Path(folder) / f"<b>{number}&.png" for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), "uint8")).save(path)
    return tuple(paths)


def page_of(model, **content):
    """The page about a model."""
    described = {
        "title": "Report on model",
        "subtitle": "Scored on 40 images",
        "facts": [("Model", "model")],
        "made": [("Computer", "2 cores")],
        "command": "faramtn report model",
        "versions": versions(),
        "date": "2026-01-01 12:00",
    }
    return render("model", **(described | model_content(model) | content))
