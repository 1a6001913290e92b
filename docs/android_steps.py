"""The steps of android.md, in the same order, with LiteRT's Python package.

    python docs/android_steps.py MODEL.tflite FACE.jpg

It needs only ai-edge-litert, numpy and Pillow.
"""

import sys
import zipfile

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator
from PIL import Image


def main(file, image):
    # 1. Read the names of the attributes from the file.
    with zipfile.ZipFile(file) as archive:
        labels = archive.read("labels.txt").decode().splitlines()

    # 2. Load the model for the GPU, or for the CPU if there is no suitable GPU.
    try:
        model, accelerator = CompiledModel.from_file(file, HardwareAccelerator.GPU), "GPU"
    except RuntimeError:
        model, accelerator = CompiledModel.from_file(file, HardwareAccelerator.CPU), "CPU"

    # 3. Create the buffers once.
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)

    # 4. Convert the pixels to floats in 0..255, row by row, in RGB order, without normalisation.
    [details] = model.get_input_tensor_details("serving_default").values()
    _, height, width, _ = details["shape"]
    face = Image.open(image).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(face, "float32").ravel()

    # 5. Write the input, run the model, read the output.
    inputs[0].write(values)
    model.run_by_index(0, inputs, outputs)
    probabilities = outputs[0].read(len(labels), np.float32)

    # 6. Keep the attributes with a probability of 0.5 or more.
    shown = sorted(zip(probabilities.tolist(), labels, strict=True), reverse=True)
    print(f"on the {accelerator}")
    for probability, label in shown:
        if probability >= 0.5:
            print(f"{label} {probability:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
