"""The steps of android.md, in their order, with LiteRT's Python package.

    python docs/android_steps.py MODEL.tflite FACE.jpg

It needs ai-edge-litert, numpy and Pillow alone.
"""

import sys
import zipfile

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator
from PIL import Image


def main(file, image):
    # 1. The names, which are in the file.
    with zipfile.ZipFile(file) as archive:
        labels = archive.read("labels.txt").decode().splitlines()

    # 2. The model on the GPU, and where there is none that can, on the CPU.
    try:
        model, place = CompiledModel.from_file(file, HardwareAccelerator.GPU), "GPU"
    except RuntimeError:
        model, place = CompiledModel.from_file(file, HardwareAccelerator.CPU), "CPU"

    # 3. Its buffers, made once.
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)

    # 4. Pixels as floats in 0..255, row by row, red, green, blue; no normalisation.
    [details] = model.get_input_tensor_details("serving_default").values()
    _, height, width, _ = details["shape"]
    face = Image.open(image).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(face, "float32").ravel()

    # 5. Write, run, read.
    inputs[0].write(values)
    model.run_by_index(0, inputs, outputs)
    probabilities = outputs[0].read(len(labels), np.float32)

    # 6. Names, from one half on.
    shown = sorted(zip(probabilities.tolist(), labels, strict=True), reverse=True)
    print(f"on the {place}")
    for probability, label in shown:
        if probability >= 0.5:
            print(f"{label} {probability:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
