"""What tests of the demo page read from it and expect of it."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from keras_faramtn.data.images import load_image
from keras_faramtn.inference.loading import load_predictor

# Runtimes sum in different orders. Resizing with a canvas would change predictions by 0.1.
TOLERANCE = 1e-5
_TIMEOUT = 20  # seconds


@dataclass(frozen=True)
class Site:
    """Two pages on a minimal web server.

    Attributes:
        model: the network that both run.
        folder: the pages: `faces` finds faces in photographs; `crops` takes images as face crops,
            because the framing of the training images is unknown.
        url: of the folder.
    """

    model: Path
    folder: Path
    url: str


def change_record(page, **changes):
    """Changes what a page knows about its model."""
    record = json.loads((page / "model.json").read_text())
    (page / "model.json").write_text(json.dumps(record | changes))


def expected_of_crop(model, image):
    """The probabilities in Python for an image that is a face crop, by attribute."""
    predictor = load_predictor(model)
    [probabilities] = predictor.predict(load_image(image, predictor.image_size)[None])
    return dict(zip(predictor.attributes, map(float, probabilities), strict=True))


def shown(page):
    """The probabilities on the page, by attribute, once there are some."""
    page.wait_for_selector("#groups .positive")
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#groups li')].map("
        "row => [row.dataset.attribute, Number(row.querySelector('data').value)]))"
    )


def wait_for(page, expected, tolerance=TOLERANCE):
    """Waits until the page shows `expected`."""
    started = time.monotonic()
    while (actual := shown(page)) != pytest.approx(expected, abs=tolerance):
        assert time.monotonic() < started + _TIMEOUT, actual
        page.wait_for_timeout(50)
