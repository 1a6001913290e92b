import pytest
import yaml

from keras_faramtn.data.augmentation_layers import build_layers
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.comparison_recipe import read_comparison_recipe
from keras_faramtn.experiments.recipe import read_recipe


def _write(folder, **changes):
    content = {
        "data": {"image_size": [64, 48]},
        "model": {"backbone": "mobilenetv3_small"},
        "training": {"epochs": 2, "weight_decay": 0.5},
        "variants": {
            "plain": {
                "model": {"network": "multi_label"},
                "training": {"dynamic_weighting": None, "epochs": 3},
            },
            "FARAMTN": {},
        },
        "seeds": [4, 0],
        "against": ["plain"],
        **changes,
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value != ""}))
    return path


def test_variants_may_be_augmented_in_different_ways():
    comparison, _ = read_comparison_recipe("crops_augmentation_comparison")
    variants = {name: comparison.recipe(name, 0) for name in comparison.variants}
    layers = {name: recipe.data.augmentation for name, recipe in variants.items()}
    assert layers.pop("standard") == layers.pop("erasing") == []
    assert variants["erasing"].data.erase == 0.25
    for name, recipe in variants.items():
        assert recipe.model == variants["standard"].model
        build_layers(layers.get(name, []))


def test_a_run_is_the_base_with_the_changes_of_its_variant_and_its_seed(tmp_path):
    comparison, path = read_comparison_recipe(_write(tmp_path))
    assert path == tmp_path / "mine.yaml"
    assert comparison.split == "validation"
    plain, ours = (comparison.recipe(name, 4) for name in ("plain", "FARAMTN"))
    assert plain.model.network == "multi_label"
    assert plain.training.dynamic_weighting is None
    assert (plain.training.epochs, ours.training.epochs) == (3, 2)
    assert plain.training.weight_decay == ours.training.weight_decay == 0.5
    assert plain.training.seed == ours.training.seed == 4
    assert comparison.recipe("plain", 0).training.seed == 0
    assert plain.data == ours.data
    assert ours.model.network == "faramtn"
    assert ours.training.dynamic_weighting is not None


def test_the_packaged_comparison_removes_one_component_at_a_time():
    comparison, _ = read_comparison_recipe("crops_comparison")
    recipes = {name: comparison.recipe(name, 0) for name in comparison.variants}
    switches = {
        name: (
            each.model.network,
            each.model.attention,
            each.model.fusion,
            each.training.dynamic_weighting is not None,
        )
        for name, each in recipes.items()
    }
    assert switches == {
        "plain": ("multi_label", True, True, False),
        "traditional": ("multi_task", True, True, False),
        "FARAMTN": ("faramtn", True, True, True),
        "without_WSGSA": ("faramtn", False, True, True),
        "without_CGFF": ("faramtn", True, False, True),
        "without_DWS": ("faramtn", True, True, False),
    }
    varied = {"dynamic_weighting"}
    assert len({str(each.data) for each in recipes.values()}) == 1
    assert len({each.training.model_dump_json(exclude=varied) for each in recipes.values()}) == 1
    assert len(comparison.seeds) >= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": {"plain": {}}}, "variants: .* at least 2"),
        ({"variants": {"plain": {}, "a/b": {}}}, "variants.a/b"),
        (
            {"variants": {"plain": {}, "b": {"data": {"image_size": [32, 32]}}}},
            r"variants.b.data.image_size.*: Input should be 'augment', 'erase', 'mixup' or",
        ),
        ({"variants": {"plain": {}, "b": {"model": {"x": 1}}}}, "b: model.x: there is no such key"),
        (
            {"variants": {"plain": {"model": {"network": "multi_label"}}, "b": {}}},
            "plain: recipe: training.dynamic_weighting needs two or more groups",
        ),
        ({"variants": {"plain": {}, "Plain": {}}}, "variants: two names differ in case"),
        (
            {
                "model": {"backbone": "mobilenetv3_small", "groups": {"p": ["a", "b"], "q": ["c"]}},
                "variants": {"x": {}, "y": {"model": {"groups": {"p": ["b", "a"], "q": ["c"]}}}},
                "against": ["x"],
            },
            "y: model.groups: all variants must predict the same attributes",
        ),
        ({"seeds": []}, "seeds: .* at least 1"),
        ({"seeds": [0, 0]}, "seeds: a seed is repeated"),
        ({"seeds": [-1]}, "seeds.0: .* equal to 0; got -1"),
        ({"against": ["traditional"]}, "against: traditional is not one of the variants"),
        ({"training": {"epochs": 2, "seed": 1}}, "training.seed: remove it; seeds lists"),
        ({"training": {"epochs": 0}}, "FARAMTN: training.epochs: .* equal to 1; got 0"),
        ({"split": "train"}, "split: .*'validation' or 'test'; got 'train'"),
        ({"variants": ""}, "variants: this key is required"),
    ],
)
def test_invalid_values_are_reported_with_file_key_and_remedy(changes, message, tmp_path):
    path = _write(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"mine\.yaml: .*{message}"):
        read_comparison_recipe(path)


def test_a_comparison_is_not_accepted_as_a_recipe(tmp_path):
    with pytest.raises(InputError, match="use `faramtn compare`"):
        read_recipe(_write(tmp_path))
