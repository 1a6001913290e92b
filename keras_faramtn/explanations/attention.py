"""What a network attends to: WSGSA's gates and CGFF's attention weights."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_faramtn.explanations.anatomy import Anatomy, run, to_array


@dataclass(frozen=True)
class Attention:
    """What a network attends to in n images, by group of attributes.

    Attributes:
        groups: the names of the g groups.
        gates: WSGSA's gates of the c channels of f(X), `(n, g, c)` in 0..1; None without WSGSA.
        to_groups: CGFF's attention of each group (third axis) to each group (last axis), by
            attention head, `(n, heads, g, g)`; None without CGFF.
        to_positions: its attention of each group to the positions of the trunk's feature map,
            `(n, heads, g, height, width)`; None without CGFF. Together with `to_groups`, the
            weights of each group and attention head sum to 1.

    Example:
        >>> Attention(("eyes", "mouth"), gates=np.ones((1, 2, 576))).to_groups is None
        True
    """

    groups: tuple[str, ...]
    gates: np.ndarray | None = None
    to_groups: np.ndarray | None = None
    to_positions: np.ndarray | None = None


def attention_of(model: keras.Model, images: np.ndarray) -> Attention:
    """WSGSA's gates and CGFF's attention weights for images.

    Args:
        model: a network of this package, or an `inference_model` of one.
        images: `(n, height, width, 3)`, uint8 or float, RGB in 0..255, of the network's size. All
            are computed together, so n is limited by memory.

    Raises:
        InputError: the images have another shape, or this package did not build the model.

    Example:
        >>> from keras_faramtn import AttributeGroups, FARAMTN
        >>> groups = AttributeGroups({"mouth": ["Smiling"], "age": ["Young"]}, ["Smiling", "Young"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (64, 96, 3))
        >>> attention = attention_of(model, np.full((3, 64, 96, 3), 128, "uint8"))
        >>> attention.gates.shape, attention.to_positions.shape
        ((3, 2, 576), (3, 4, 2, 4, 6))
    """
    anatomy = run(model, images)
    gates, attended = wsgsa_gates(anatomy), cgff_weights_and_values(anatomy)
    if attended is None:
        return Attention(tuple(anatomy.heads), gates)
    to_groups, positions = np.split(attended[0], [len(anatomy.heads)], axis=-1)
    grid = anatomy.tensors["trunk"].shape[1:3]
    to_positions = positions.reshape(*positions.shape[:-1], *grid)
    return Attention(tuple(anatomy.heads), gates, to_groups, to_positions)


def wsgsa_gates(anatomy: Anatomy) -> np.ndarray | None:
    """WSGSA's gates, `(n, groups, C)`; None for a network without WSGSA."""
    if anatomy.wsgsa is None:
        return None
    gates = anatomy.wsgsa.gates(anatomy.tensors["shared"])
    return np.stack([to_array(gates[group]) for group in anatomy.heads], axis=1)


def cgff_weights_and_values(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray] | None:
    """CGFF's attention weights and values, stacked by head; None for a network without CGFF.

    Returns:
        `(n, heads, groups, groups + positions)` and `(n, heads, groups + positions, d / heads)`.
    """
    if anatomy.cgff is None:
        return None
    heads = anatomy.cgff.attend(anatomy.tensors["features"], anatomy.tensors["trunk"])
    weights, values = (
        np.stack([to_array(tensor) for tensor in kind], axis=1) for kind in zip(*heads, strict=True)
    )
    return weights, values
