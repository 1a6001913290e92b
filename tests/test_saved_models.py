"""The network in `saved_models/`: every format gives the recorded predictions."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image
from scenes import DRAWN_FRAMING, compose

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.inference.loading import read_record
from keras_faramtn.inference.photographs import predict_photographs
from keras_faramtn.models import inference_model, load_model

FOLDER = Path(__file__).parents[1] / "saved_models"
EXPORT = FOLDER / "small_synthetic"
SIZE = (96, 80)


@pytest.fixture(scope="module")
def recorded():
    """The file names of the faces, and the trained Keras model's predictions for them."""
    with (FOLDER / "recorded.csv").open() as file:
        header, *rows = csv.reader(file)
    assert tuple(header[1:]) == CELEBA_ATTRIBUTES
    names = [Path(row[0]).name for row in rows]
    return names, np.array([row[1:] for row in rows], "float64")


def _faces():
    return [load_image(path, SIZE) for path in find_images([FOLDER / "faces"])]


def _tflite(precision):
    [path] = (EXPORT / "tflite").glob(f"*_{precision}.tflite")
    return [
        list(probabilities.values()) for _, probabilities in predict_files(path, [FOLDER / "faces"])
    ]


def _saved_model():
    served = tf.saved_model.load(EXPORT / "saved_model" / "1").signatures["serve_bytes"]
    encoded = [path.read_bytes() for path in find_images([FOLDER / "faces"])]
    predictions = served(image_bytes=tf.constant(encoded))
    assert set(predictions["error"].numpy()) == {b""}
    return predictions["probabilities"]


def _onnx():
    onnxruntime = pytest.importorskip("onnxruntime")
    [path] = (EXPORT / "onnx").glob("*.onnx")
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {"images": np.stack(_faces()).astype("float32")})[0]


def _keras():
    return inference_model(load_model(EXPORT)).predict(np.stack(_faces()), verbose=0)


@pytest.mark.parametrize(
    ("run", "tolerance"),
    [
        (lambda: _tflite("float32"), 1e-4),
        (lambda: _tflite("float16"), 1e-2),
        (lambda: _tflite("int8"), 0.4),
        # Its graph resizes in floating point. Pillow, used for the recorded predictions, rounds
        # between rows and columns, which changes a tenth of the pixels by 1 of 255.
        (_saved_model, 3e-2),
        (_onnx, 1e-4),
        (_keras, 1e-4),
    ],
    ids=["float32", "float16", "int8", "saved_model", "onnx", "keras"],
)
def test_every_format_gives_the_recorded_predictions(recorded, run, tolerance):
    names, expected = recorded
    assert names == [path.name for path in find_images([FOLDER / "faces"])]
    assert expected.std(axis=0).mean() > 0.1
    actual = np.array(run())
    np.testing.assert_allclose(actual, expected, atol=tolerance)
    assert np.mean((actual > 0.5) == (expected > 0.5)) > 0.95


FILES = ["", "onnx/faramtn.onnx", "saved_model/1", "tflite/faramtn_int8.tflite"]


@pytest.mark.parametrize("file", FILES, ids=["export", "onnx", "saved_model", "int8"])
def test_every_file_records_its_attributes_and_the_framing_of_the_drawings(file):
    record = read_record(EXPORT / file)
    assert record.groups.attributes == CELEBA_ATTRIBUTES
    assert record.framing.aspect == pytest.approx(178 / 218, abs=1e-3)
    for name in ("left_eye", "right_eye", "mouth"):
        drawn = getattr(DRAWN_FRAMING, name)
        np.testing.assert_allclose(getattr(record.framing, name), drawn, atol=0.03)


def test_faces_in_a_photograph_are_found_and_predicted(tmp_path):
    photograph, faces = compose(7, count=3, face_sizes=(60, 120))
    photograph.save(tmp_path / "photograph.png")
    [found] = predict_photographs(EXPORT, [tmp_path / "photograph.png"])
    assert len(found.faces) == len(faces)


def test_the_served_model_turns_images_upright():
    served = tf.saved_model.load(EXPORT / "saved_model" / "1").signatures["serve_bytes"]
    face = Image.open(FOLDER / "faces" / "000010.jpg")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    files = []
    for image, options in [(face, {}), (face.rotate(90, expand=True), {"exif": exif})]:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=100, subsampling=0, **options)
        files.append(content.getvalue())
    upright, turned = served(image_bytes=tf.constant(files))["probabilities"].numpy()
    np.testing.assert_allclose(turned, upright, atol=0.05)


def test_the_card_has_the_scores_of_the_evaluation():
    card = pytest.importorskip("huggingface_hub").ModelCard.load(EXPORT / "README.md").data
    metrics = json.loads((FOLDER / "metrics.json").read_text())
    assert (metrics["data"], metrics["split"], metrics["images"]) == ("faces", "test", 200)
    for each in card.eval_results:
        assert (each.dataset_name, each.dataset_split) == ("faces", "test")
        assert each.metric_value == metrics["means"][each.metric_type]
    assert len(card.eval_results) == 5
    assert {"keras", "tflite", "onnx", "tensorflow"} <= set(card.tags)


class Requests(HTMLParser):
    """What a page would load, and what it would run."""

    def __init__(self):
        super().__init__()
        self.targets, self.tags = [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        named = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
        self.targets += [value for name, value in attributes if name in named]


def test_the_report_is_of_this_network_and_loads_nothing():
    page = (FOLDER / "report.html").read_text(encoding="utf-8")
    requests = Requests()
    requests.feed(page)
    assert {target.partition(":")[0] for target in requests.targets if target[0] != "#"} == {"data"}
    assert not {"script", "iframe", "object", "embed"} & requests.tags
    assert re.search(r"@import|url\((?!#)", page) is None
    means = json.loads((FOLDER / "metrics.json").read_text())["means"]
    for score in ("accuracy", "balanced_accuracy", "average_precision", "calibration_error"):
        assert f"<b>{100 * means[score]:.1f}\xa0%</b>" in page
    for column in ("Male", "Young"):
        assert f"Subgroups by {column}" in page


def test_the_files_are_small_enough_for_a_repository():
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(sizes) < 26e6
