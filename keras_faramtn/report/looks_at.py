"""What a network of this package looks at, as images for a page."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_faramtn.data.images import load_image
from keras_faramtn.explanations.attention import attention_of
from keras_faramtn.explanations.occlusion import cell_side, occlude
from keras_faramtn.report.thumbnails import PageImage, page_image

_SAMPLE = 64  # images whose attention is averaged
_BATCH_SIZE = 32
_EXAMPLES = 6
_SECONDS = 20.0  # no further example is begun after this time
_BLUE, _ORANGE = np.array([0, 114, 178]), np.array([213, 94, 0])


@dataclass(frozen=True)
class MeanAttention:
    """CGFF's attention, averaged over images and attention heads.

    Attributes:
        images: their number.
        maps: for each group, the mean image with the attention to its positions in orange.
        to_groups: the attention of each group (row) to each group and, last, to all positions,
            `(g, g + 1)`; rows sum to 1.
    """

    images: int
    maps: Mapping[str, PageImage]
    to_groups: np.ndarray


@dataclass(frozen=True)
class OccludedFace:
    """A face that clearly has an attribute, and where its logit falls if the image is blurred."""

    attribute: str
    path: Path
    probability: float
    face: PageImage
    map: PageImage


def mean_attention(model: keras.Model, paths: Sequence[Path]) -> MeanAttention | None:
    """The attention of a network for evenly spread images; None for a network without CGFF."""
    rows = np.unique(np.linspace(0, len(paths) - 1, min(_SAMPLE, len(paths))).astype(int))
    images = np.stack([load_image(paths[row], model.input_shape[1:3]) for row in rows])
    groups, positions = [], []
    for first in range(0, len(images), _BATCH_SIZE):
        attention = attention_of(model, images[first : first + _BATCH_SIZE])
        if attention.to_groups is None or attention.to_positions is None:
            return None
        groups.append(attention.to_groups.mean(axis=1))
        positions.append(attention.to_positions.mean(axis=1))
    to_groups = np.concatenate(groups).mean(axis=0)
    maps = np.concatenate(positions).mean(axis=0)
    mean = images.mean(axis=0)
    return MeanAttention(
        len(images),
        {
            group: page_image(_overlay(mean, _stretched(weights, mean.shape[:2]) / maps.max()))
            for group, weights in zip(attention.groups, maps, strict=True)
        },
        np.column_stack([to_groups, 1 - to_groups.sum(axis=1)]),
    )


def occluded_faces(
    model: keras.Model,
    paths: Sequence[Path],
    probabilities: np.ndarray,
    labels: np.ndarray,
    attributes: Sequence[str],
    ranking: Sequence[str],
) -> list[OccludedFace]:
    """Occlusion of the face with the highest probability for each of a few attributes.

    Args:
        model: a network of this package.
        paths: the n images.
        probabilities, labels: `(n, k)`, as in `score`.
        attributes: the k names.
        ranking: the attributes to choose from, the best first; those that no image has by its
            label are skipped.
    """
    started, seen, found = time.monotonic(), set[int](), list[OccludedFace]()
    for attribute in ranking:
        if len(found) == _EXAMPLES or time.monotonic() > started + _SECONDS:
            break
        column = attributes.index(attribute)
        rows = [row for row in np.flatnonzero(labels[:, column] == 1) if row not in seen]
        if not rows:
            continue
        row = int(max(rows, key=lambda row: probabilities[row, column]))
        seen.add(row)
        image = load_image(paths[row], model.input_shape[1:3])
        [[falls]] = occlude(model, image[None], [attribute])
        step = cell_side(*image.shape[:2])
        grid = np.repeat(np.repeat(falls, step, axis=0), step, axis=1)
        weights = grid[: image.shape[0], : image.shape[1]] / max(float(np.abs(falls).max()), 1e-6)
        found.append(
            OccludedFace(
                attribute,
                paths[row],
                float(probabilities[row, column]),
                page_image(image),
                page_image(_overlay(image, weights)),
            )
        )
    return found


def _overlay(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The image in grey, with weights in -1..1 for each pixel: orange above 0, blue below."""
    grey = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    weights = weights[..., None]
    colour = np.where(weights > 0, _ORANGE, _BLUE)
    alpha = 0.85 * np.abs(weights)
    return ((1 - alpha) * grey + alpha * colour).round().astype("uint8")


def _stretched(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A grid of cells as pixels: each pixel has the value of the cell that it lies in."""
    rows, columns = (
        np.arange(pixels) * cells // pixels for pixels, cells in zip(size, grid.shape, strict=True)
    )
    return grid[np.ix_(rows, columns)]
