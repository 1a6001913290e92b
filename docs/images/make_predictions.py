"""Draws predictions.webp: predictions of the network in saved_models/ on new synthetic faces.

python docs/images/make_predictions.py
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from keras_faramtn import load_predictor, read_dataset, synthesize
from keras_faramtn.data.images import load_image
from keras_faramtn.evaluation.plots import contact_sheet

MODEL = Path("saved_models/small_synthetic/tflite/faramtn_float32.tflite")
FACES = 6
SEED = 2026  # The network was trained on the faces of seed 0.


def main():
    with tempfile.TemporaryDirectory() as folder:
        synthesize(folder, FACES, seed=SEED)
        table = read_dataset(folder)
        predictor = load_predictor(MODEL)
        faces = [load_image(path, predictor.image_size) for path in table.paths]
        large = np.stack([load_image(path, (218, 178)) for path in table.paths])
    probabilities = predictor.predict(np.stack(faces))
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "sheet.png"
        contact_sheet(large, probabilities, table.labels, table.attributes, sheet)
        with Image.open(sheet) as image:
            image.convert("RGB").save(Path(__file__).with_name("predictions.webp"), quality=85)


if __name__ == "__main__":
    main()
