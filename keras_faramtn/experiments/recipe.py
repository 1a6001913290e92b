"""A recipe: one experiment in a short YAML file, checked before anything runs."""

import importlib.resources
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, GROUPINGS, AttributeGroups
from keras_faramtn.backbone_libraries import check_installed
from keras_faramtn.data.augmentation_layers import build_layers, check_layer_names
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.yaml_files import read_yaml
from keras_faramtn.framing import FRAMINGS, framing_from_json

Positive = Annotated[float, pydantic.Field(gt=0)]
Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
Seed = Annotated[int, pydantic.Field(ge=0, lt=2**32)]  # NumPy's range, for Keras's global seed


def _check_path(path: str) -> str:
    if not path or any(character < " " for character in path):
        raise ValueError("use the path of a file or folder, without control characters")
    return path


FilePath = Annotated[str, pydantic.AfterValidator(_check_path)]
MEASURED = "measured"
"""The value of `data.framing` for a framing that is measured in the training images."""

PATH_KEYS = {"folder", "cache"}
"""The keys of the section `data` that don't change the results of a run."""

Schema = TypeVar("Schema", bound=pydantic.BaseModel)


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


class Data(_Section):
    """The images, and how they are prepared for the network.

    Attributes:
        folder: a folder of CelebA or LFWA, or a `.csv` file of attributes, as in `read_dataset`;
            None if it is given on the command line.
        image_size: height and width in pixels that images are resized to, 32 to 1024.
        framing: how faces are framed in the images, which is recorded in the model: `measured` for
            what `measure_framing` finds in the training images; the name of a framing, `celeba` or
            `box`; a mapping as `framing_to_json` returns it; or None if it is unknown.
        augment: whether training images are randomly flipped, shifted, rotated and relit.
        erase: the fraction of training images in which a random rectangle is erased, if `augment`.
        mixup: if `augment` and above 0, each training image and its labels are mixed with another
            image's, with a weight drawn from Beta(mixup, mixup).
        augmentation: layers of Keras or KerasCV that change the training images further, each a
            mapping from its name to its arguments, as in `build_layers`; also if not `augment`.
        cache: the folder for decoded images that need more than 4 GiB (fewer are kept in memory);
            None for `keras_faramtn` in the user's cache folder.
    """

    folder: FilePath | None = None
    image_size: tuple[
        Annotated[int, pydantic.Field(ge=32, le=1024)],
        Annotated[int, pydantic.Field(ge=32, le=1024)],
    ] = pydantic.Field(strict=False)
    framing: str | dict[str, Any] | None = MEASURED
    augment: bool = True
    erase: Fraction = 0.0
    mixup: Annotated[float, pydantic.Field(ge=0)] = 0.0
    augmentation: list[dict[str, Any]] = []
    cache: FilePath | None = None

    @pydantic.field_validator("augmentation")
    @classmethod
    def _possible_layers(cls, layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        check_layer_names(layers)
        return layers

    @pydantic.field_validator("framing")
    @classmethod
    def _possible_framing(cls, framing: Any) -> Any:
        if isinstance(framing, str) and framing not in (MEASURED, *FRAMINGS):
            raise ValueError(f"use {MEASURED}, {', '.join(FRAMINGS)}, a custom framing or null")
        if isinstance(framing, dict):
            framing_from_json(framing)
        return framing


class LibraryBackbone(_Section):
    """A backbone of KerasHub or KerasCV: a preset, or a class with arguments.

    Attributes:
        library: `keras_hub` or `keras_cv`, which must be installed.
        preset: of KerasHub: a folder, a handle (`hf://...`, `kaggle://...`) or a name. It contains
            the weights, and the preprocessing that they expect.
        load_weights: False for the architecture of the preset with random weights.
        class_name: a class of `keras_hub.models` or `keras_cv.models`. Its initial weights are
            random, or those of `model.weights`.
        arguments: of that class.
    """

    library: Literal["keras_hub", "keras_cv"]
    preset: FilePath | None = None
    load_weights: bool = True
    class_name: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z]\w*$")] | None = None
    arguments: dict[str, Any] = {}

    @pydantic.model_validator(mode="after")
    def _preset_or_class(self) -> "LibraryBackbone":
        if (self.preset is None) == (self.class_name is None):
            raise ValueError("set either preset or class_name")
        if self.preset is not None and self.library != "keras_hub":
            raise ValueError("presets of keras_cv can't be used; set class_name and arguments")
        if self.preset is not None and self.arguments:
            raise ValueError("arguments belong to class_name; remove them")
        if self.class_name is not None and not self.load_weights:
            raise ValueError("load_weights belongs to preset; remove it")
        return self


def _kind_of_backbone(backbone: Any) -> str:
    return "<library>" if isinstance(backbone, Mapping | LibraryBackbone) else "<name>"


class Model(_Section):
    """The network.

    Attributes:
        network: `faramtn`, or one of the baselines `multi_label` and `multi_task`.
        backbone: a key of `keras_faramtn.BACKBONES`, or a backbone of KerasHub or KerasCV.
        groups: the name of a grouping (`face_regions`, `mcnn_aux`), or a mapping from group names
            to CelebA or custom attributes. The canonical order is CelebA's for its 40 attributes,
            otherwise the order in which they are written here.
        weights: None, `imagenet`, or the path of a weights file of the backbone; None for a preset.
        start_from: None, or the path of a `.keras` file of the same network whose weights are the
            initial weights: a finished model to fine-tune, or a checkpoint.
        attention, fusion: False removes WSGSA or CGFF from `faramtn`.
        dropout: as in `FARAMTN`.
    """

    network: Literal["faramtn", "multi_label", "multi_task"] = "faramtn"
    backbone: Annotated[
        Annotated[
            Literal["resnet50", "mobilenetv3_large", "mobilenetv3_small", "efficientnetv2_b0"],
            pydantic.Tag("<name>"),
        ]
        | Annotated[LibraryBackbone, pydantic.Tag("<library>")],
        pydantic.Discriminator(_kind_of_backbone),
    ]
    groups: Literal["face_regions", "mcnn_aux"] | dict[str, list[str]] = "face_regions"
    weights: FilePath | None = None
    start_from: FilePath | None = None
    attention: bool = True
    fusion: bool = True
    dropout: Fraction = 0.0

    @pydantic.field_validator("groups")
    @classmethod
    def _partition(cls, groups: str | dict[str, list[str]]) -> str | dict[str, list[str]]:
        if isinstance(groups, dict):
            _custom_groups(groups)
        return groups

    @pydantic.model_validator(mode="after")
    def _switches_are_of_faramtn(self) -> "Model":
        if self.network != "faramtn" and not (self.attention and self.fusion):
            raise ValueError(f"attention and fusion exist only in faramtn, not in {self.network}")
        return self

    @pydantic.model_validator(mode="after")
    def _weights_have_one_source(self) -> "Model":
        if self.weights is not None and self.start_from is not None:
            raise ValueError("start_from includes the backbone's weights; remove weights")
        if self.weights is not None and isinstance(self.backbone, LibraryBackbone):
            if self.backbone.preset is not None:
                raise ValueError("the preset of the backbone includes its weights; remove weights")
            if self.weights == "imagenet":
                raise ValueError(
                    "weights: imagenet is for the backbones with a name; use a preset, or the path "
                    "of a weights file"
                )
        return self

    def attribute_groups(self) -> AttributeGroups:
        """The groups of the network's outputs."""
        if isinstance(self.groups, str):
            return GROUPINGS[self.groups]
        return _custom_groups(self.groups)

    def has_groups(self) -> bool:
        """Whether the network has two or more groups, each with an output of its own.

        Example:
            >>> Model(backbone="mobilenetv3_small").has_groups()
            True
            >>> Model(backbone="mobilenetv3_small", network="multi_label").has_groups()
            False
        """
        return self.network != "multi_label" and len(self.attribute_groups()) > 1


class Weighting(_Section):
    """DWS; the keys are the arguments of `DynamicWeighting`."""

    strength: Positive = 1.0
    smoothing: Fraction = 0.5


class Teacher(_Section):
    """A trained network whose predictions are blended with the labels (`distil_labels`).

    Attributes:
        model: the path of its `.keras` file.
        blend: the weight of its predictions, above 0 and at most 1.
    """

    model: FilePath
    blend: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.7


class Training(_Section):
    """How the network is trained; the learning rate follows a cosine after a linear warmup.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        optimizer: `adamw`, or `muon` (`ConvolutionMuon`), which converges faster from scratch.
        learning_rate: the peak learning rate.
        backbone_learning_rate: the learning rate of the backbone, as a factor of `learning_rate`.
        train_backbone_from: the first epoch, counted from 1, in which the backbone is trained.
            Before it, the backbone is frozen, batch normalisation too. Each of the two phases has
            its own warmup and cosine, and starts with a new optimizer.
        warmup: the fraction of all steps in which the learning rate rises to its peak.
        weight_decay: for kernels; biases and normalisation are excluded.
        positive_weight, label_smoothing: as in `MaskedBinaryCrossentropy`.
        teacher: a trained network to distil from, or None.
        dynamic_weighting: DWS, or None for equal weights.
        seed: 0 to 2³² - 1, for the initial weights, the order of the images and the augmentation.
        precision: `mixed_float16` and `mixed_bfloat16` compute in half precision, which suits GPUs;
            the saved model is always float32.
        jit_compile: whether XLA compiles the step; None for Keras's default, which uses XLA on GPUs
            and on JAX.
        accumulate: the number of batches whose mean gradient makes one update, for large effective
            batches in the memory of a small one.
        all_devices: distribute each batch over all GPUs of the machine
            (`tf.distribute.MirroredStrategy`), with batch normalisation synchronised across them.
    """

    epochs: Annotated[int, pydantic.Field(ge=1)]
    batch_size: Annotated[int, pydantic.Field(ge=1)] = 64
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive = 0.002
    backbone_learning_rate: Positive = 1.0
    train_backbone_from: Annotated[int, pydantic.Field(ge=1)] = 1
    warmup: Fraction = 0.05
    weight_decay: Annotated[float, pydantic.Field(ge=0)] = 0.02
    positive_weight: Positive = 1.0
    label_smoothing: Fraction = 0.0
    teacher: Teacher | None = None
    dynamic_weighting: Weighting | None = Weighting()
    seed: Seed = 0
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
        if not self.model.has_groups() and self.training.dynamic_weighting is not None:
            raise ValueError(
                "training.dynamic_weighting needs two or more groups, but this network has one "
                "output; set it to null"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that determine the results of a run, in JSON values.

        These are all but the paths of the data and of the cache, so that a run can be resumed after
        its data was moved; the images and labels themselves are compared too (`FaceTable.digest`).

        Example:
            >>> recipe, _ = read_recipe("demo")
            >>> sorted(recipe.identity()["data"])
            ['augment', 'augmentation', 'erase', 'framing', 'image_size', 'mixup']
        """
        return self.model_dump(mode="json", exclude={"data": PATH_KEYS})


def read_recipe(name_or_path: str | Path) -> tuple[Recipe, Path]:
    """Reads and checks a recipe.

    Args:
        name_or_path: path of a YAML file, or the name of a recipe of the package, such as `demo`.

    Returns:
        The recipe and the path of its file.

    Raises:
        InputError: if the file is missing or is not YAML, or has an unknown key, a wrong type or an
            invalid value; the message names the file, the path of the key and the remedy.

    Example:
        >>> recipe, path = read_recipe("demo")
        >>> path.name, recipe.model.backbone, recipe.data.image_size
        ('demo.yaml', 'mobilenetv3_small', (96, 80))
    """
    content, path = read_content(name_or_path)
    if "variants" in content:
        raise InputError(f"{path}: this recipe compares several networks; use `faramtn compare`.")
    return validate(Recipe, content, str(path)), path


def read_content(name_or_path: str | Path) -> tuple[Mapping[str, Any], Path]:
    """Reads a recipe's file without checking its keys; otherwise as `read_recipe`."""
    path = _find(name_or_path)
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: a recipe must have the sections data, model and training.")
    return content, path


def validate(schema: type[Schema], content: Mapping[str, Any], source: str) -> Schema:
    """Checks `content` against `schema`.

    Raises:
        InputError: if there are problems: one line per problem, each starting with `source`.
    """
    try:
        return schema.model_validate(content)
    except pydantic.ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise InputError("\n".join(f"{source}: {line}" for line in lines)) from error


def refuse_missing_files(recipe: Recipe, source: str | Path) -> None:
    """Checks, before anything slow starts, that what a recipe names exists here.

    Raises:
        InputError: if a file or the library of the backbone is missing, or a layer for
            augmentation can't be built; the message starts with `source` and names the key.
    """
    try:
        build_layers(recipe.data.augmentation)
    except InputError as error:
        raise InputError(f"{source}: data.augmentation: {error}") from error
    backbone = recipe.model.backbone
    if isinstance(backbone, LibraryBackbone):
        try:
            check_installed(backbone.library)
        except InputError as error:
            raise InputError(f"{source}: model.backbone.library: {error}") from error
    teacher = recipe.training.teacher
    files = {
        "model.weights": recipe.model.weights,
        "model.start_from": recipe.model.start_from,
        "training.teacher.model": teacher.model if teacher else None,
    }
    for key, file in files.items():
        if file not in (None, "imagenet") and not Path(file).is_file():
            raise InputError(
                f"{source}: {key}: file {file} does not exist; specify its path relative to "
                f"{Path.cwd()}, or train that model first."
            )


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes a recipe with all values, defaults included, as YAML for `read_recipe`."""
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))


def _custom_groups(groups: Mapping[str, list[str]]) -> AttributeGroups:
    # Without repetitions: AttributeGroups reports a name that is in two groups.
    names = tuple(dict.fromkeys(name for members in groups.values() for name in members))
    celeba = set(names) == set(CELEBA_ATTRIBUTES)
    return AttributeGroups(groups, CELEBA_ATTRIBUTES if celeba else names)


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    packaged = packaged_recipes()
    if str(name_or_path) in packaged:
        return packaged[str(name_or_path)]
    raise InputError(
        f"{name_or_path}: there is no such recipe; specify the path of a YAML file or one of "
        f"{', '.join(packaged)}."
    )


def packaged_recipes() -> dict[str, Path]:
    """The recipes that come with the package: for each name the path of its file.

    Example:
        >>> packaged_recipes()["demo"].name
        'demo.yaml'
    """
    package = Path(str(importlib.resources.files("keras_faramtn")))
    folder = package / "recipes"
    if not folder.is_dir():  # a checkout, where they are next to the package
        folder = package.parent / "recipes"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def _explain(problem: Any) -> str:
    # pydantic names the branches of a union like keys; they are skipped: the user never wrote them.
    key_path = ".".join(
        str(key) for key in problem["loc"] if not str(key).startswith(("literal[", "dict[", "<"))
    )
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"{key_path}: there is no such key; remove it or correct its spelling."
    if kind == "missing":
        return f"{key_path}: this key is required; add it."
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    received = "" if isinstance(given, Mapping) else f"; got {_short(given)}"
    return f"{key_path or 'recipe'}: {message}{received}."


def _short(value: Any) -> str:
    """The value in Python syntax, with long strings and lists shortened."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 80
    return shortener.repr(value)
