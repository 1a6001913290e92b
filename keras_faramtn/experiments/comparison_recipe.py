"""The recipe of a comparison: one experiment, its variants, and the seeds to train them with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from keras_faramtn.errors import InputError
from keras_faramtn.experiments.recipe import Recipe, Seed, read_content, validate

# Names of variants are also names of folders.
Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]


class Changes(pydantic.BaseModel):
    """The keys in which a variant differs from the base; of `data` only those of augmentation."""

    model_config = Recipe.model_config

    data: dict[Literal["augment", "erase", "mixup", "augmentation"], Any] = {}
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}


class ComparisonRecipe(pydantic.BaseModel):
    """Networks that are trained in the same way except for the changes of each variant.

    Attributes:
        data, model, training: the base, as in a recipe, without `training.seed`.
        variants: at least two; for each name (letters, digits and `_`) its changes.
        seeds: each variant is trained once with each seed.
        against: the variants that all others are compared with.
        split: the split that all networks are scored on.
    """

    model_config = Recipe.model_config

    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]
    variants: Annotated[dict[Name, Changes], pydantic.Field(min_length=2)]
    seeds: Annotated[list[Seed], pydantic.Field(min_length=1)]
    against: Annotated[list[str], pydantic.Field(min_length=1)]
    split: Literal["validation", "test"] = "validation"

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "ComparisonRecipe":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: a seed is repeated; list each once")
        if len({name.casefold() for name in self.variants}) < len(self.variants):
            raise ValueError("variants: two names differ in case only")
        for name in self.against:
            if name not in self.variants:
                raise ValueError(f"against: {name} is not one of the variants")
        sections = [self.training, *(changes.training for changes in self.variants.values())]
        if any("seed" in section for section in sections):
            raise ValueError("training.seed: remove it; seeds lists the seeds to train with")
        return self

    def content(self, variant: str, seed: int) -> Mapping[str, Any]:
        """The content of the recipe of one run."""
        changes = self.variants[variant]
        return {
            "data": {**self.data, **changes.data},
            "model": {**self.model, **changes.model},
            "training": {**self.training, **changes.training, "seed": seed},
        }

    def recipe(self, variant: str, seed: int) -> Recipe:
        """The recipe of one run."""
        return Recipe.model_validate(self.content(variant, seed))

    def attributes(self) -> tuple[str, ...]:
        """The attributes that all variants predict, in canonical order."""
        variant = next(iter(self.variants))
        return self.recipe(variant, self.seeds[0]).model.attribute_groups().attributes


def read_comparison_recipe(name_or_path: str | Path) -> tuple[ComparisonRecipe, Path]:
    """Reads and checks the recipe of a comparison and the recipe of each variant.

    Args:
        name_or_path: as in `read_recipe`.

    Returns:
        The recipe of the comparison and the path of its file.

    Raises:
        InputError: as in `read_recipe`.

    Example:
        >>> comparison, _ = read_comparison_recipe("crops_comparison")
        >>> comparison.recipe("without_CGFF", seed=0).model.fusion
        False
    """
    content, path = read_content(name_or_path)
    comparison = validate(ComparisonRecipe, content, str(path))
    for variant in comparison.variants:
        content = comparison.content(variant, comparison.seeds[0])
        recipe = validate(Recipe, content, f"{path}: {variant}")
        if recipe.model.attribute_groups().attributes != comparison.attributes():
            raise InputError(
                f"{path}: {variant}: model.groups: all variants must predict the same attributes "
                "in the same order."
            )
    return comparison, path
