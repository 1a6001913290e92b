"""Runs a TFLite file on the GPU and on the CPU by LiteRT: a program, for a process of its own.

A graphics driver may end the process that uses it, so `gpu._run_on_gpu` starts this one.

    python -m keras_faramtn.export.gpu_run MODEL.tflite IMAGES.npy RESULT.npz
"""

import sys

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator


def run(path: str, images: np.ndarray, accelerator: HardwareAccelerator) -> tuple[bool, list]:
    """Whether the accelerator runs every operation, and the output of each image.

    Args:
        path: a TFLite file of one float32 image in and one vector out.
        images: `(n, height, width, 3)` in 0..255.
        accelerator: which one; there is no fallback to another.
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
    wholly, on_gpu = run(model_file, images, HardwareAccelerator.GPU)
    np.savez(result_file, wholly=wholly, cpu=on_cpu, gpu=on_gpu)
