"""The runs of each data set: networks, groupings, weighting rules and settings."""

from typing import Any, NamedTuple

import keras
import numpy as np
from networks import NETWORKS

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, GROUPINGS, AttributeGroups
from keras_faramtn.experiments.network import backbone_arguments
from keras_faramtn.experiments.recipe import Recipe


class Run(NamedTuple):
    """One training."""

    network: str
    grouping: str
    rule: str
    seed: int

    @property
    def file(self) -> str:
        return "-".join(map(str, self)) + ".npz"


class Plan(NamedTuple):
    """Runs of one data set and backbone: for each seed, all variants.

    Attributes:
        settings: a recipe; the optimizer and its weight decay are the same in all plans.
        variants: network, grouping and weighting rule of each.
        scored: the split or splits that are scored, in words.
    """

    settings: dict[str, Any]
    variants: tuple[tuple[str, str, str], ...]
    scored: str = "validation"

    def runs(self, seeds: int) -> list[Run]:
        return [Run(*variant, seed) for seed in range(seeds) for variant in self.variants]

    def recipe(self, seed: int) -> Recipe:
        training = {**_OPTIMIZER, **self.settings["training"], "seed": seed}
        return Recipe.model_validate({**self.settings, "training": training})

    def network(self, name: str, groups: AttributeGroups) -> keras.Model:
        recipe = self.recipe(seed=0)
        shape = (*recipe.data.image_size, 3)
        backbone = backbone_arguments(recipe.model, shape)["backbone"]
        return NETWORKS[name](backbone, groups, shape)


_OPTIMIZER = {"optimizer": "muon", "weight_decay": 0.05}

# ResNet50 with two blocks in each stage and a quarter of its width. Like ResNet50's, the last block
# has three convolutions, a shortcut, and an activation after the addition.
_SMALL_RESNET = {
    "library": "keras_cv",
    "class_name": "ResNetBackbone",
    "arguments": {
        "stackwise_filters": [16, 32, 64, 128],
        "stackwise_blocks": [2, 2, 2, 2],
        "stackwise_strides": [1, 2, 2, 2],
        "include_rescaling": True,
    },
}

_SMALL_CROPS = {
    "data": {"image_size": [64, 64]},
    "training": {"epochs": 6, "learning_rate": 0.004},
}

PLANS = {
    "crops": Plan(
        {"model": {"backbone": "mobilenetv3_small"}, **_SMALL_CROPS},
        (
            ("FARAMTN", "face_regions", "equal"),
            ("without_WSGSA", "face_regions", "equal"),
            ("WSGSA_residual", "face_regions", "equal"),
            ("WSGSA_spatial", "face_regions", "equal"),
            ("WSGSA_finer", "face_regions", "equal"),
            ("FARAMTN", "face_regions", "DWS"),
            ("FARAMTN", "face_regions", "progress"),
            ("plain", "one", "equal"),
            ("without_CGFF", "face_regions", "equal"),
        ),
    ),
    "crops_resnet": Plan(
        {"model": {"backbone": _SMALL_RESNET}, **_SMALL_CROPS},
        (
            ("FARAMTN", "face_regions", "equal"),
            ("without_WSGSA", "face_regions", "equal"),
        ),
    ),
    "synthetic": Plan(
        {
            "model": {"backbone": "mobilenetv3_small"},
            "data": {"image_size": [72, 60], "augment": False},
            "training": {"epochs": 8, "learning_rate": 0.012},
        },
        (
            ("FARAMTN", "face_regions", "equal"),
            ("FARAMTN", "face_regions", "DWS"),
            ("FARAMTN", "face_regions", "DWS_strength_3"),
            ("FARAMTN", "face_regions", "progress"),
            ("FARAMTN", "face_regions", "uncertainty"),
            ("FARAMTN", "face_regions", "DWA"),
            ("FARAMTN", "face_regions", "AW_CNN"),
            ("FARAMTN", "one", "equal"),
            ("FARAMTN", "random", "equal"),
            ("FARAMTN", "mcnn_aux", "equal"),
            ("plain", "one", "equal"),
            ("without_WSGSA", "face_regions", "equal"),
            ("WSGSA_residual", "face_regions", "equal"),
            ("without_CGFF", "face_regions", "equal"),
        ),
        scored="validation and test",
    ),
}


def grouping(name: str, seed: int) -> AttributeGroups:
    """A grouping by name; `random` has the sizes of the face regions, and depends on the seed."""
    if name == "one":
        return AttributeGroups({"face": CELEBA_ATTRIBUTES})
    if name != "random":
        return GROUPINGS[name]
    names = iter(np.random.default_rng(seed).permutation(CELEBA_ATTRIBUTES).tolist())
    sizes = {group: len(members) for group, members in GROUPINGS["face_regions"].items()}
    return AttributeGroups(
        {f"group_{group}": [next(names) for _ in range(size)] for group, size in sizes.items()}
    )
