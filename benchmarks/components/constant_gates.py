"""Networks whose gates of WSGSA no longer depend on the image."""

from typing import Any

import keras
import numpy as np

from keras_faramtn.layers import WSGSA


def with_constant_gates(model: keras.Model, images: Any) -> dict[str, np.ndarray] | None:
    """Replaces each gate of a network by its mean over images, for all images; None without WSGSA.

    Returns:
        `gates_mean` and `gates_deviation`, the standard deviation over the images before, both
        `(groups, channels)`.
    """
    attention = next((layer for layer in model.layers if isinstance(layer, WSGSA)), None)
    if attention is None:
        return None
    shared = keras.Model(model.inputs[0], attention.input[0]).predict(images, verbose=0)
    gates = np.stack([np.asarray(gate) for gate in attention.gates(shared).values()], axis=1)
    mean = gates.mean(axis=0)
    for excite, gate in zip(attention.excites, mean, strict=True):
        excite.kernel.assign(np.zeros(excite.kernel.shape))
        excite.bias.assign(np.log(gate) - np.log1p(-gate))
    return {"gates_mean": mean, "gates_deviation": gates.std(axis=0)}


def describe_gates(recorded: list[dict[str, np.ndarray]]) -> str:
    """How much the gates vary over images and over groups, on average over channels and seeds."""
    mean = np.mean([each["gates_mean"] for each in recorded])
    over_images = np.mean([each["gates_deviation"] for each in recorded])
    over_groups = np.mean([each["gates_mean"].std(axis=0) for each in recorded])
    return (
        f"Gates: mean {mean:.3f}, standard deviation over the images {over_images:.3f}, over the "
        f"groups {over_groups:.3f}.\n"
    )
