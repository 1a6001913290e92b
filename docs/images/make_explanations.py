"""Draws explanation.webp and attention.webp with the network of `faramtn demo`.

python docs/images/make_explanations.py demo/model.keras
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from keras_faramtn import synthesize
from keras_faramtn.explanations.explain_files import explain_files

FACES = 6
SEED = 2026  # The network was trained on the faces of seed 0.
SHOWN = "000004"
ATTRIBUTES = ["Smiling", "Mouth_Slightly_Open"]


def main(model):
    with tempfile.TemporaryDirectory() as folder:
        images = synthesize(Path(folder) / "faces", FACES, seed=SEED) / "Img"
        results = Path(folder) / "results"
        explain_files(model, [images], results, attributes=ATTRIBUTES)
        figures = {
            "explanation.webp": results / "evidence" / f"{SHOWN}.png",
            "attention.webp": results / "attention.png",
        }
        for name, figure in figures.items():
            with Image.open(figure) as image:
                image.convert("RGB").save(Path(__file__).with_name(name), quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
