"""Where in an image the evidence for an attribute lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from scipy.special import expit

from keras_faramtn.explanations.anatomy import outputs_of, run, to_array
from keras_faramtn.explanations.attention import cgff_weights_and_values, wsgsa_gates
from keras_faramtn.layers import CGFF


@dataclass(frozen=True)
class Explanation:
    """The evidence for k attributes in n images, position by position, in logits.

    For each image and attribute, the logit is the sum of `bias`, `high_level` and `trunk`.

    Attributes:
        attributes: the names of the attributes.
        logits: `(n, k)`.
        bias: the bias of the head, `(k,)`: the logit without any evidence.
        high_level: the evidence at each position of the last feature map, f(X), at stride 32 of
            the image, `(n, k, height, width)`.
        trunk: the evidence that CGFF takes from each position of the trunk's feature map, at stride
            16, `(n, k, height, width)`; None for a network without CGFF.

    Example:
        >>> explanation = Explanation(
        ...     ("Smiling",),
        ...     logits=np.array([[1.5]]),
        ...     bias=np.array([-0.5]),
        ...     high_level=np.array([[[[2.0]]]]),
        ...     trunk=np.array([[[[0.25, -0.25]]]]),
        ... )
        >>> explanation.evidence.tolist()
        [[[[1.25, 0.75]]]]
    """

    attributes: tuple[str, ...]
    logits: np.ndarray
    bias: np.ndarray
    high_level: np.ndarray
    trunk: np.ndarray | None

    @property
    def probabilities(self) -> np.ndarray:
        """`(n, k)` in 0..1."""
        return expit(self.logits)

    @property
    def evidence(self) -> np.ndarray:
        """All evidence on the finer grid, `(n, k, height, width)`.

        The evidence at a position of the coarser grid is divided among those of the finer grid by
        the area that they share. So, with the bias, the evidence still sums to the logit.
        """
        if self.trunk is None:
            return self.high_level
        rows, columns = map(_shared_area, self.high_level.shape[2:], self.trunk.shape[2:])
        return self.trunk + rows @ self.high_level @ columns.T


def explain(model: keras.Model, images: np.ndarray, attributes: Sequence[str]) -> Explanation:
    """Divides the logits of attributes among the positions of the network's feature maps.

    The feature of a group is f(X), multiplied by WSGSA's gates and averaged over all positions.
    CGFF adds silu(m) W_o to it, where m is the mean of the values of all groups and of the trunk's
    positions, weighted by the attention, and silu(m) = m * sigmoid(m). The head is linear. So, with
    the gates, the attention weights and sigmoid(m) fixed at what they are for the image, the logit
    is a linear function of the feature vectors at all positions: a bias, and one term for each
    position. These terms are the evidence. They are exact, up to rounding.

    They do not state how much the logit would change without a position: the gates, the attention
    and sigmoid(m) would change too. And a feature vector depends on a larger region of the image
    than its position covers.

    Args:
        model: a network of this package, or an `inference_model` of one.
        images: `(n, height, width, 3)`, uint8 or float, RGB in 0..255, of the network's size. All
            are computed together, so n is limited by memory.
        attributes: one or more attributes of the network.

    Returns:
        The evidence, float32.

    Raises:
        InputError: an attribute is unknown or repeated, there is none, the images have another
            shape, or this package did not build the model.

    Example:
        >>> from keras_faramtn import AttributeGroups, FARAMTN
        >>> groups = AttributeGroups({"mouth": ["Smiling"], "age": ["Young"]}, ["Smiling", "Young"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (64, 96, 3))
        >>> explanation = explain(model, np.full((2, 64, 96, 3), 128, "uint8"), ["Smiling"])
        >>> explanation.high_level.shape, explanation.trunk.shape
        ((2, 1, 2, 3), (2, 1, 4, 6))
        >>> total = explanation.bias + explanation.evidence.sum(axis=(2, 3))
        >>> np.allclose(total, explanation.logits, atol=1e-4)
        True
    """
    outputs = outputs_of(model, attributes)
    anatomy = run(model, images)
    gates, attended = wsgsa_gates(anatomy), cgff_weights_and_values(anatomy)
    maps = [to_array(anatomy.tensors["maps"][group]) for group in anatomy.heads]
    logits, bias, high_level, trunk = [], [], [], []
    for head, index in outputs.values():
        logits.append(to_array(anatomy.tensors["logits"][head.name])[:, index])
        bias.append(to_array(head.bias)[index])
        kernel, row = to_array(head.kernel)[:, index], list(anatomy.heads).index(head.name)
        # The weight of each channel of each group's feature in the logit.
        weights = np.zeros((len(images), len(maps), len(kernel)), "float32")
        weights[:, row] = kernel
        if anatomy.cgff is not None and attended is not None:
            through_groups, positions = _through_cgff(anatomy.cgff, *attended, row, kernel)
            weights += through_groups
            trunk.append(positions.reshape(-1, *anatomy.tensors["trunk"].shape[1:3]))
        if gates is not None:
            weights *= gates
        high_level.append(
            sum(
                np.einsum("nhwc,nc->nhw", map_, weights[:, group])
                for group, map_ in enumerate(maps)
            )
            / np.prod(maps[0].shape[1:3])
        )
    return Explanation(
        tuple(outputs),
        np.stack(logits, axis=1),
        np.stack(bias),
        np.stack(high_level, axis=1),
        np.stack(trunk, axis=1) if trunk else None,
    )


def _through_cgff(
    cgff: CGFF, weights: np.ndarray, values: np.ndarray, row: int, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Divides what CGFF adds to a logit among the groups' features and the trunk's positions.

    Args:
        cgff: the layer.
        weights, values: as `cgff_weights_and_values` returns them.
        row: the index of the attribute's group.
        kernel: the head's weights for the attribute, `(C,)`.

    Returns:
        The weight of each channel of each group's feature, `(n, groups, C)`, and the evidence at
        the positions, `(n, positions)`.
    """
    weights = weights[:, :, row]
    mixed = np.einsum("nhs,nhsd->nhd", weights, values)
    # What one unit of m adds, with sigmoid(m) fixed.
    slope = (to_array(cgff.output_projection.kernel) @ kernel).reshape(mixed.shape[1:])
    slope = slope * expit(mixed)
    groups = len(cgff.groups)
    positions = np.einsum(
        "nhs,nhsd,nhd->ns", weights[..., groups:], values[:, :, groups:], slope, optimize=True
    )
    to_value = to_array(cgff.group_projection.kernel) @ to_array(cgff.value.kernel)
    by_group = np.einsum("nhg,nhd->nghd", weights[..., :groups], slope)
    return by_group.reshape(*by_group.shape[:2], -1) @ to_value.T, positions


def _shared_area(coarse: int, fine: int) -> np.ndarray:
    """The fraction of each of `coarse` equal intervals in each of `fine`, `(fine, coarse)`.

    Example:
        >>> _shared_area(2, 3).T.round(2).tolist()
        [[0.67, 0.33, 0.0], [0.0, 0.33, 0.67]]
    """
    edges, others = np.linspace(0, 1, fine + 1), np.linspace(0, 1, coarse + 1)
    ends = np.minimum(edges[1:, None], others[1:])
    starts = np.maximum(edges[:-1, None], others[:-1])
    return coarse * np.clip(ends - starts, 0, None)
