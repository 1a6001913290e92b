import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, MCNN_AUX
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.recipe import (
    packaged_recipes,
    read_recipe,
    refuse_missing_files,
    write_recipe,
)
from keras_faramtn.framing import BOX_FRAMING, framing_to_json

RECIPES = Path(__file__).parents[2] / "recipes"


def _content(**changes):
    content = {
        "data": {"image_size": [64, 48]},
        "model": {"backbone": "mobilenetv3_small"},
        "training": {"epochs": 2},
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            content[section][key] = value
        else:
            content[section] = value
    return content


def _write(folder, content):
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


# Comparisons have another schema.
PACKAGED = sorted(set(RECIPES.glob("*.yaml")) - set(RECIPES.glob("*_comparison.yaml")))


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_packaged_recipes_are_valid_and_found_by_name(path):
    recipe, found = read_recipe(path.stem)
    assert found.read_text() == path.read_text()
    assert recipe == read_recipe(path)[0]


def test_recipes_of_a_checkout_are_next_to_the_package():
    assert packaged_recipes() == {path.stem: path for path in _packaged()}


LIST_RECIPES = """
import json
from keras_faramtn.experiments.recipe import packaged_recipes
print(json.dumps({name: str(path) for name, path in packaged_recipes().items()}))
"""


@pytest.mark.slow
def test_recipes_of_an_installed_wheel_are_inside_the_package(tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, tmp_path, RECIPES.parent], check=True)
    (tmp_path / "recipes").mkdir()  # of another distribution, in the same site-packages
    (tmp_path / "recipes" / "unrelated.yaml").write_text("data: {}")
    result = subprocess.run(
        [sys.executable, "-c", LIST_RECIPES],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    folder = tmp_path / "keras_faramtn" / "recipes"
    assert json.loads(result.stdout) == {path.stem: str(folder / path.name) for path in _packaged()}


def _packaged():
    return sorted(RECIPES.glob("*.yaml"))


def test_given_values_are_read_and_others_have_defaults(tmp_path):
    path = _write(
        tmp_path, _content(model__groups="mcnn_aux", training__learning_rate=1, training__seed=7)
    )
    recipe, _ = read_recipe(path)
    assert recipe.data.image_size == (64, 48)
    assert recipe.model.attribute_groups() == MCNN_AUX
    assert recipe.training.learning_rate == 1.0
    assert recipe.training.seed == 7
    assert recipe.training.dynamic_weighting.strength == 1.0
    assert recipe.model.network == "faramtn"


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("2.E+0", 2.0), ("5E-02", 0.05), ("1.5e-3", 0.0015)]
)
def test_numbers_may_have_an_exponent(text, value, tmp_path):
    path = _write(tmp_path, _content(training__learning_rate=7.5))
    path.write_text(path.read_text().replace("7.5", text))
    assert read_recipe(path)[0].training.learning_rate == value


def test_custom_groups(tmp_path):
    groups = {"first": list(CELEBA_ATTRIBUTES[:7]), "rest": list(CELEBA_ATTRIBUTES[7:])}
    recipe, _ = read_recipe(_write(tmp_path, _content(model__groups=groups)))
    assert dict(recipe.model.attribute_groups()) == {k: tuple(v) for k, v in groups.items()}


def test_custom_attributes_keep_the_order_of_the_recipe(tmp_path):
    custom = {"mood": ["Happy", "Angry"], "outfit": ["Scarf"]}
    recipe, _ = read_recipe(_write(tmp_path, _content(model__groups=custom)))
    assert recipe.model.attribute_groups().attributes == ("Happy", "Angry", "Scarf")
    reordered = {"rest": list(CELEBA_ATTRIBUTES[:6:-1]), "first": list(CELEBA_ATTRIBUTES[:7])}
    recipe, _ = read_recipe(_write(tmp_path, _content(model__groups=reordered)))
    assert recipe.model.attribute_groups().attributes == CELEBA_ATTRIBUTES


def test_a_written_recipe_is_read_back_equal(tmp_path):
    recipe, _ = read_recipe(_write(tmp_path, _content(training__dynamic_weighting=None)))
    write_recipe(recipe, tmp_path / "copy.yaml")
    assert read_recipe(tmp_path / "copy.yaml")[0] == recipe


@pytest.mark.parametrize("framing", ["measured", "celeba", framing_to_json(BOX_FRAMING), None])
def test_a_framing_is_read_and_written(framing, tmp_path):
    recipe, _ = read_recipe(_write(tmp_path, _content(data__framing=framing)))
    assert recipe.data.framing == framing
    write_recipe(recipe, tmp_path / "copy.yaml")
    assert read_recipe(tmp_path / "copy.yaml")[0] == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training__epoch": 3}, "training.epoch: there is no such key"),
        ({"extra": {}}, "extra: there is no such key"),
        ({"training__epochs": "3"}, "training.epochs: Input should be a valid integer; got '3'"),
        ({"training__epochs": 0}, "training.epochs: .* greater than or equal to 1; got 0"),
        ({"training__epochs": True}, "training.epochs: Input should be a valid integer; got True"),
        ({"training__learning_rate": -0.1}, "training.learning_rate: .* greater than 0; got -0.1"),
        ({"training__learning_rate": float("nan")}, "training.learning_rate: .*; got nan"),
        ({"training__learning_rate": float("inf")}, "training.learning_rate: .*; got inf"),
        ({"training__warmup": 1.0}, "training.warmup: .* less than 1; got 1.0"),
        (
            {"data__framing": "aligned"},
            "data.framing: use measured, celeba, box, .* or null; got 'aligned'",
        ),
        ({"data__framing": {"kind": "box"}}, "data.framing: not a framing"),
        ({"data__image_size": [64]}, "data.image_size.1: this key is required"),
        ({"data__image_size": [64, 16]}, "data.image_size.1: .* equal to 32; got 16"),
        ({"data__image_size": [64, 64, 3]}, "data.image_size: .* at most 2"),
        ({"model__backbone": "resnet18"}, "model.backbone: .*'resnet50'.*; got 'resnet18'"),
        ({"model__groups": "nine"}, "model.groups: .*'face_regions' or 'mcnn_aux'; got 'nine'"),
        (
            {"model__groups": {"a": ["Hat"], "b": ["Hat"]}},
            "attribute 'Hat' is in group 'a'",
        ),
        ({"model__groups": {}}, "model.groups: groups is empty"),
        ({"model__network": "multi_task", "model__fusion": False}, "model: attention and fusion"),
        (
            {"model__weights": "a.h5", "model__start_from": "b.keras"},
            "model: start_from includes the",
        ),
        (
            {"training__precision": "float16"},
            "training.precision: .*mixed_float16.*; got 'float16'",
        ),
        ({"training__accumulate": 0}, "training.accumulate: .* equal to 1; got 0"),
        ({"model__network": "multi_label"}, "training.dynamic_weighting needs two or more groups"),
        ({"model__groups": {"all": ["Hat", "Tie"]}}, "needs two or more groups.*set it to null"),
        ({"training__dynamic_weighting": {"strength": 0}}, "dynamic_weighting.strength: "),
        (
            {"training__teacher": {"model": "a", "blend": 0.0}},
            r"training\.teacher\.blend: .*got 0\.0",
        ),
        (
            {"training__teacher": {"model": "a", "blend": 1.1}},
            r"training\.teacher\.blend: .*got 1\.1",
        ),
        ({"data": 3}, "data: Input should be a valid dictionary.*; got 3"),
        ({"training__seed": 2**32}, "training.seed: .* less than 4294967296; got 4294967296"),
        ({"training__seed": True}, "training.seed: Input should be a valid integer; got True"),
        ({"training__learning_rate": True}, "learning_rate: .*valid number; got True"),
        ({"data__image_size": [True, 64]}, "data.image_size.0: .*valid integer; got True"),
        ({"data__image_size": ["64", 64]}, "data.image_size.0: .*valid integer; got '64'"),
        ({"data__folder": ""}, "data.folder: use the path of a file or folder.*; got ''"),
        ({"model__weights": "a\0b"}, "model.weights: .* without control characters"),
        ({"model__backbone": "x" * 999}, r"model.backbone: .*; got 'x{20,60}\.\.\.x{20,60}'\.$"),
        ({"model__groups": {"a": ["x\n"], "b": ["y"]}}, "can't be the name of an attribute"),
        ({"model__groups": {"a": ["x"], "b": [" y"]}}, "' y' can't be the name of an attribute"),
        ({"model__groups": {"a": ["x"], "b": "yz"}}, "model.groups.b: .*valid list; got 'yz'"),
    ],
)
def test_invalid_values_are_reported_with_file_key_and_remedy(changes, message, tmp_path):
    path = _write(tmp_path, _content(**changes))
    with pytest.raises(InputError, match=rf"mine\.yaml: .*{message}"):
        read_recipe(path)


def test_all_problems_are_reported_at_once(tmp_path):
    path = _write(tmp_path, _content(training__epochs=0, model__backbone="x", data__size=3))
    with pytest.raises(InputError) as error:
        read_recipe(path)
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [", "cannot read this file as YAML"),
        ("- 1", "must have the sections data, model and training"),
        ("", "must have the sections data, model and training"),
        ("data: {image_size: [64, 64]}", "model: this key is required"),
    ],
)
def test_files_that_are_not_recipes_are_refused(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_recipe(_write(tmp_path, text))


def test_an_unknown_recipe_is_refused_with_the_known_names():
    with pytest.raises(InputError, match=r"nothing: there is no such recipe; .* demo"):
        read_recipe("nothing")


def test_a_layer_for_augmentation_that_cannot_be_used_is_reported_with_file_and_key(tmp_path):
    path = _write(tmp_path, _content(data__augmentation=[{"MixUp": {"alpha": 0.2}}]))
    with pytest.raises(
        InputError, match=r"mine\.yaml: data\.augmentation: MixUp can't be used: it "
    ):
        read_recipe(path)
    path = _write(tmp_path, _content(data__augmentation=[{"RandomHue": {"fctor": 0.2}}]))
    recipe, _ = read_recipe(path)
    with pytest.raises(
        InputError, match=r"^mine: data\.augmentation: RandomHue: there is no argum"
    ):
        refuse_missing_files(recipe, "mine")
    path = _write(tmp_path, _content(data__augmentation={"RandomHue": {"factor": 0.2}}))
    with pytest.raises(InputError, match=r"data\.augmentation: Input should be a valid list"):
        read_recipe(path)


def test_layers_for_augmentation_are_written_and_read_again(tmp_path):
    layers = [{"RandomFlip": None}, {"RandAugment": {"factor": [0.1, 0.3]}}]
    recipe, _ = read_recipe(_write(tmp_path, _content(data__augmentation=layers)))
    write_recipe(recipe, tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml")[0] == recipe
    assert recipe.identity()["data"]["augmentation"] == layers
