"""Draws photograph.webp: predictions of the network in saved_models/ for portraits on a wall.

python docs/images/make_photograph.py
"""

import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from keras_faramtn import draw_predictions, predict_photographs, synthesize

MODEL = Path("saved_models/small_synthetic/tflite/faramtn_float32.tflite")
SEED = 2026  # The network was trained on the faces of seed 0.
PORTRAITS = {2: (60, 120, 300), 3: (400, 90, 240), 5: (700, 200, 270)}  # number: left, top, height


def main():
    photograph = Image.linear_gradient("L").resize((960, 600))
    photograph = ImageOps.colorize(photograph, "#c9d6df", "#7b8d9a")
    with tempfile.TemporaryDirectory() as folder:
        synthesize(folder, 6, image_size=(654, 534), seed=SEED)
        faces = sorted(Path(folder).rglob("*.jpg"))
        for number, (left, top, height) in PORTRAITS.items():
            with Image.open(faces[number]) as face:
                portrait = ImageOps.contain(face, (height, height))
            framed = ImageOps.expand(ImageOps.expand(portrait, 8, "white"), 4, "#5b4636")
            photograph.paste(framed, (left, top))
        path = Path(folder) / "photograph.png"
        photograph.save(path)
        (prediction,) = predict_photographs(MODEL, [path])
    drawn = draw_predictions(photograph, prediction.faces)
    drawn.save(Path(__file__).with_name("photograph.webp"), quality=85)


if __name__ == "__main__":
    main()
