"""A recipe: one experiment, written down in a short YAML file, checked before anything runs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, GROUPINGS, AttributeGroups
from keras_faramtn.errors import InputError

# Recipes are in `recipes/` beside the package in a checkout, and inside it when installed.
_RECIPE_FOLDERS = (
    Path(__file__).parents[1] / "recipes",
    Path(__file__).parents[2] / "recipes",
)

Positive = Annotated[float, pydantic.Field(gt=0)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
Schema = TypeVar("Schema", bound=pydantic.BaseModel)


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


class Data(_Section):
    """Which images, and how they reach the network.

    Attributes:
        folder: a folder of CelebA or LFWA, or a `.csv` file of attributes, as `read_dataset` takes;
            None where the command line gives it.
        image_size: height and width in pixels that images are resized to, 32 to 1024.
        augment: whether training images are flipped, moved, turned and relit at random.
        erase: the share of training images that lose a random rectangle too, if `augment`.
        mixup: if `augment` and above 0, each training image is mixed with another, and so are
            their labels, by a share from Beta(mixup, mixup), as `mix` does.
        cache: the folder for decoded images, where they take more than 4 GiB (less is kept in
            memory); None for `keras_faramtn` in the user's folder of caches.
    """

    folder: str | None = None
    image_size: tuple[
        Annotated[int, pydantic.Field(ge=32, le=1024)],
        Annotated[int, pydantic.Field(ge=32, le=1024)],
    ] = pydantic.Field(strict=False)
    augment: bool = True
    erase: Share = 0.0
    mixup: Annotated[float, pydantic.Field(ge=0)] = 0.0
    cache: str | None = None


class Model(_Section):
    """Which network.

    Attributes:
        network: `faramtn`, or one of the baselines `multi_label` and `multi_task`.
        backbone: a key of `keras_faramtn.BACKBONES`.
        groups: the name of a grouping (`face_regions`, `mcnn_aux`), or a mapping from group to
            attribute names, CelebA's or those of one's own data. The canonical order is CelebA's
            where they are its 40, else the order in which they are written here.
        weights: None, `imagenet`, or the path of a weights file of the backbone.
        start_from: None, or the path of a `.keras` file of the same network, whose weights training
            starts from: a finished model to fine-tune, or a checkpoint.
        attention, fusion: False leaves WSGSA or CGFF out of `faramtn`.
        dropout: as in `FARAMTN`.
    """

    network: Literal["faramtn", "multi_label", "multi_task"] = "faramtn"
    backbone: Literal["resnet50", "mobilenetv3_large", "mobilenetv3_small", "efficientnetv2_b0"]
    groups: Literal["face_regions", "mcnn_aux"] | dict[str, list[str]] = "face_regions"
    weights: str | None = None
    start_from: str | None = None
    attention: bool = True
    fusion: bool = True
    dropout: Share = 0.0

    @pydantic.field_validator("groups")
    @classmethod
    def _partition(cls, groups: str | dict[str, list[str]]) -> str | dict[str, list[str]]:
        if isinstance(groups, dict):
            _custom_groups(groups)
        return groups

    @pydantic.model_validator(mode="after")
    def _switches_are_of_faramtn(self) -> "Model":
        if self.network != "faramtn" and not (self.attention and self.fusion):
            raise ValueError(f"attention and fusion are splits of faramtn, not of {self.network}")
        return self

    @pydantic.model_validator(mode="after")
    def _weights_come_from_one_place(self) -> "Model":
        if self.weights is not None and self.start_from is not None:
            raise ValueError("start_from holds the backbone's weights too; leave out weights")
        return self

    def attribute_groups(self) -> AttributeGroups:
        """The grouping, checked."""
        if isinstance(self.groups, str):
            return GROUPINGS[self.groups]
        return _custom_groups(self.groups)


class Weighting(_Section):
    """DWS; the attributes are the arguments of `DynamicWeighting`."""

    strength: Positive = 1.0
    smoothing: Share = 0.5


class Teacher(_Section):
    """A trained network to learn from besides the labels, as `distil_labels` does.

    Attributes:
        model: the path of its `.keras` file.
        blend: of its answers in what is learned, above 0 and up to 1.
    """

    model: str
    blend: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.7


class Training(_Section):
    """How the network is trained; the learning rate rises and then falls along a cosine.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        optimizer: `adamw`, or `muon` (`ConvolutionMuon`), which learns faster from scratch.
        learning_rate: the highest rate.
        warmup: the share of all steps in which the rate rises to it.
        weight_decay: of kernels; biases and normalisation have none.
        positive_weight, label_smoothing: as in `MaskedBinaryCrossentropy`.
        teacher: a trained network whose answers take a share in the labels, or None.
        dynamic_weighting: DWS, or None for equal weights.
        seed: of the initial weights, the order of the images and the augmentation.
        precision: `mixed_float16` and `mixed_bfloat16` compute in half precision, as fits a GPU;
            the model that is saved is in float32 in any case.
        jit_compile: whether XLA compiles the step; None leaves it to Keras, which does so on GPUs
            and on JAX.
        accumulate: batches whose mean gradient makes one update: a batch that is so many times
            larger in the memory of one.
        all_devices: split each batch over all GPUs of the machine
            (`tf.distribute.MirroredStrategy`), with the moments of batch normalisation taken over
            the whole batch.
    """

    epochs: Annotated[int, pydantic.Field(ge=1)]
    batch_size: Annotated[int, pydantic.Field(ge=1)] = 64
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive = 0.002
    warmup: Share = 0.05
    weight_decay: Annotated[float, pydantic.Field(ge=0)] = 0.02
    positive_weight: Positive = 1.0
    label_smoothing: Share = 0.0
    teacher: Teacher | None = None
    dynamic_weighting: Weighting | None = Weighting()
    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit_compile: bool | None = None
    accumulate: Annotated[int, pydantic.Field(ge=1)] = 1
    all_devices: bool = False


class Recipe(_Section):
    """One experiment."""

    data: Data
    model: Model
    training: Training

    @pydantic.model_validator(mode="after")
    def _weighting_needs_groups(self) -> "Recipe":
        one = self.model.network == "multi_label" or len(self.model.attribute_groups()) == 1
        if one and self.training.dynamic_weighting is not None:
            raise ValueError(
                "training.dynamic_weighting needs two or more groups, and this network has one "
                "output; set it to null"
            )
        return self


class _Loader(yaml.SafeLoader):
    """YAML 1.1, with the numbers of YAML 1.2: 1e-3 is one, as 1.0e-3 is."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_recipe(name_or_path: str | Path) -> tuple[Recipe, Path]:
    """Reads and checks a recipe.

    Args:
        name_or_path: path of a YAML file, or the bare name of a recipe that comes with the
            package, such as `demo`.

    Returns:
        The recipe and the path of its file.

    Raises:
        InputError: no such file, no YAML, an unknown key, a wrong type or an impossible value; the
            message names the file, the key's path and the remedy.
    """
    content, path = read_content(name_or_path)
    if "variants" in content:
        raise InputError(f"{path}: this recipe compares several networks; use `faramtn compare`.")
    return validate(Recipe, content, str(path)), path


def read_content(name_or_path: str | Path) -> tuple[Mapping[str, Any], Path]:
    """What a recipe's file holds, not checked yet, and its path; the rest is as `read_recipe`."""
    path = _find(name_or_path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is no YAML file: {error}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: a recipe has the sections data, model and training.")
    return content, path


def validate(schema: type[Schema], content: Mapping[str, Any], place: str) -> Schema:
    """Checks `content` against `schema`.

    Raises:
        InputError: what is wrong, a line a problem, each beginning with `place`.
    """
    try:
        return schema.model_validate(content)
    except pydantic.ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise InputError("\n".join(f"{place}: {line}" for line in lines)) from error


def refuse_missing_files(recipe: Recipe, place: str | Path) -> None:
    """Makes sure, before anything long begins, that the files that `recipe` names are there.

    Raises:
        InputError: one is not; the message begins with `place` and names the key.
    """
    teacher = recipe.training.teacher
    files = {
        "model.weights": recipe.model.weights,
        "model.start_from": recipe.model.start_from,
        "training.teacher.model": teacher.model if teacher else None,
    }
    for key, file in files.items():
        if file not in (None, "imagenet") and not Path(file).is_file():
            raise InputError(
                f"{place}: {key}: there is no file {file}; give its path as seen from "
                f"{Path.cwd()}, or train what it should hold first."
            )


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes `recipe`, every value spelled out, as YAML that `read_recipe` takes."""
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))


def _custom_groups(groups: Mapping[str, list[str]]) -> AttributeGroups:
    # Each once: a name that is in two groups is refused there, with both named.
    names = tuple(dict.fromkeys(name for members in groups.values() for name in members))
    celeba = set(names) == set(CELEBA_ATTRIBUTES)
    return AttributeGroups(groups, CELEBA_ATTRIBUTES if celeba else names)


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = {
        file.stem: file for folder in _RECIPE_FOLDERS for file in sorted(folder.glob("*.yaml"))
    }
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    raise InputError(
        f"{name_or_path}: there is no such recipe; give the path of a YAML file or one of "
        f"{', '.join(shipped)}."
    )


def _explain(problem: Any) -> str:
    # A union's branches appear in the place of a key that the user never wrote; leave them out.
    place = ".".join(
        str(key) for key in problem["loc"] if not str(key).startswith(("literal[", "dict["))
    )
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"{place}: there is no such key; remove it or correct its spelling."
    if kind == "missing":
        return f"{place}: this key is required; add it."
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    received = "" if isinstance(given, Mapping) else f"; got {given!r}"
    return f"{place or 'recipe'}: {message}{received}."
