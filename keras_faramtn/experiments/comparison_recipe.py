"""A comparison's recipe: one experiment, its variants, and the seeds that each is trained with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from keras_faramtn.errors import InputError
from keras_faramtn.experiments.recipe import Recipe, read_content, validate

# Names become folders.
Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]
Seed = Annotated[int, pydantic.Field(ge=0)]


class Changes(pydantic.BaseModel):
    """What a variant has other than the base: keys of its `model` and `training` sections."""

    model_config = Recipe.model_config

    model: dict[str, Any] = {}
    training: dict[str, Any] = {}


class Comparison(pydantic.BaseModel):
    """Networks that are trained alike but for what each variant changes.

    Attributes:
        data, model, training: the base, as in a recipe, without `training.seed`.
        variants: from a name to its changes, at least two; letters, digits and `_`.
        seeds: each variant is trained once with each.
        against: the variants that all others are compared with.
        split: the split of the data that all are scored on.
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
    def _consistent(self) -> "Comparison":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each may stand there once only")
        if len({name.casefold() for name in self.variants}) < len(self.variants):
            raise ValueError("variants: two names differ in their case only")
        for name in self.against:
            if name not in self.variants:
                raise ValueError(f"against: {name} is none of the variants")
        sections = [self.training, *(changes.training for changes in self.variants.values())]
        if any("seed" in section for section in sections):
            raise ValueError("training.seed: remove it; seeds says with which to train")
        return self

    def content(self, variant: str, seed: int) -> Mapping[str, Any]:
        """The content of the recipe of one run."""
        changes = self.variants[variant]
        return {
            "data": self.data,
            "model": {**self.model, **changes.model},
            "training": {**self.training, **changes.training, "seed": seed},
        }

    def recipe(self, variant: str, seed: int) -> Recipe:
        """The recipe of one run."""
        return Recipe.model_validate(self.content(variant, seed))

    def attributes(self) -> tuple[str, ...]:
        """What all variants predict, in canonical order."""
        some = next(iter(self.variants))
        return self.recipe(some, self.seeds[0]).model.attribute_groups().attributes


def read_comparison(name_or_path: str | Path) -> tuple[Comparison, Path]:
    """Reads and checks a comparison's recipe, and that of each variant.

    Args:
        name_or_path: as in `read_recipe`.

    Returns:
        The comparison and the path of its file.

    Raises:
        InputError: as `read_recipe`.
    """
    content, path = read_content(name_or_path)
    comparison = validate(Comparison, content, str(path))
    for variant in comparison.variants:
        content = comparison.content(variant, comparison.seeds[0])
        recipe = validate(Recipe, content, f"{path}: {variant}")
        if recipe.model.attribute_groups().attributes != comparison.attributes():
            raise InputError(
                f"{path}: {variant}: model.groups: all variants must predict the same attributes "
                "in the same order."
            )
    return comparison, path
