"""Runs a TFLite file with LiteRT on the GPU and on the CPU, as a separate program.

A graphics driver may crash the process that uses it, so `gpu_check` starts this program in its own
process.

    python -m keras_faramtn.export.run_on_gpu MODEL.tflite IMAGES.npy RESULT.npz
"""

import sys

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator


def run(
    path: str, images: np.ndarray, accelerator: HardwareAccelerator
) -> tuple[bool, list[np.ndarray]]:
    """Runs a TFLite file on one accelerator, without a fallback to another.

    Args:
        path: a TFLite file with one float32 image as input and one vector as output.
        images: `(n, height, width, 3)` in 0..255.
        accelerator: the accelerator.

    Returns:
        Whether the accelerator runs every operation; and the output for each image, float32
        `(attributes,)`.
    """
    model = CompiledModel.from_file(path, hardware_accel=accelerator)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    [output] = model.get_output_tensor_details("serving_default").values()
    size = int(np.prod(output["shape"]))
    results = []
    for image in images:
        inputs[0].write(image.astype("float32").ravel())
        model.run_by_index(0, inputs, outputs)
        results.append(outputs[0].read(size, np.float32))
    return model.is_fully_accelerated(), results


if __name__ == "__main__":
    model_file, images_file, result_file = sys.argv[1:]
    images = np.load(images_file)
    _, on_cpu = run(model_file, images, HardwareAccelerator.CPU)
    fully_accelerated, on_gpu = run(model_file, images, HardwareAccelerator.GPU)
    np.savez(result_file, fully_accelerated=fully_accelerated, cpu=on_cpu, gpu=on_gpu)
