import subprocess
import sys

import pytest

from keras_faramtn.attributes import (
    CELEBA_ATTRIBUTES,
    FACE_REGIONS,
    MCNN_AUX,
    AttributeGroups,
    single_group,
)


def test_celeba_attributes_have_the_order_of_the_label_file():
    # The header of list_attr_celeba.txt is sorted by ASCII code, "5" first.
    assert len(CELEBA_ATTRIBUTES) == 40
    assert list(CELEBA_ATTRIBUTES) == sorted(CELEBA_ATTRIBUTES)
    assert CELEBA_ATTRIBUTES.index("Male") == 20
    assert CELEBA_ATTRIBUTES.index("Smiling") == 31


@pytest.mark.parametrize(("groups", "count"), [(FACE_REGIONS, 8), (MCNN_AUX, 9)])
def test_each_grouping_contains_each_attribute_once(groups, count):
    assert len(groups) == count
    assert sorted(name for group in groups for name in groups[group]) == list(CELEBA_ATTRIBUTES)


def test_positions_refer_to_the_canonical_order():
    groups = AttributeGroups({"b": ["z", "x"], "a": ["y"]}, attributes=["x", "y", "z"])
    assert groups.attributes == ("x", "y", "z")
    assert groups.positions("b") == (2, 0)
    assert groups.positions("a") == (1,)
    assert list(groups) == ["b", "a"]


def test_groups_are_equal_only_with_the_same_content_in_the_same_order():
    groups = AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["x", "y"])
    assert groups == AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["x", "y"])
    assert groups != AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["y", "x"])
    assert groups != AttributeGroups({"a": ["y"], "b": ["x"]}, attributes=["x", "y"])
    reordered = AttributeGroups({"b": ["y"], "a": ["x"]}, attributes=["x", "y"])
    assert groups != reordered
    assert len({groups, reordered}) == 2
    assert hash(groups) == hash(AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["x", "y"]))
    assert groups != {"a": ("x",), "b": ("y",)}


def test_single_group_keeps_the_order():
    assert single_group(["q", "p"])["attributes"] == ("q", "p")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": ["x", "y"], "b": ["y", "z"]}, "'y' is in group 'a' and again in group 'b'"),
        ({"a": ["x", "x"], "b": ["y", "z"]}, "'x' is in group 'a' and again in group 'a'"),
        ({"a": ["x", "y", "z", "w"]}, "group 'a' contains the unknown attribute 'w'"),
        ({"a": ["x"]}, "no group contains y, z; add each to a group"),
        ({"a": ["x", "y", "z"], "b": []}, "group 'b' is empty"),
        ({}, "groups is empty"),
        ({"a/b": ["x", "y", "z"]}, "'a/b' can't be the name of a Keras output"),
        ({"a b": ["x", "y", "z"]}, "'a b' can't be the name of a Keras output"),
        ({"_a": ["x", "y", "z"]}, "'_a' can't be the name of a Keras output"),
        ({"": ["x", "y", "z"]}, "'' can't be the name of a Keras output"),
        ({3: ["x", "y", "z"]}, "3 can't be the name of a Keras output"),
        ({"a": "xyz"}, "group 'a' must be a list of attribute names; got 'xyz'"),
        ({"a": None}, "group 'a' must be a list of attribute names; got None"),
        ({"a": [1]}, "group 'a' must be a list of attribute names"),
        ([["x", "y", "z"]], "groups must map group names"),
    ],
)
def test_the_error_for_invalid_groups_names_them(groups, message):
    with pytest.raises(ValueError, match=message):
        AttributeGroups(groups, attributes=["x", "y", "z"])


def test_an_attribute_listed_twice_is_refused():
    with pytest.raises(ValueError, match="contains x more than once"):
        AttributeGroups({"a": ["x", "y"]}, attributes=["x", "y", "x"])


def test_importing_the_package_imports_no_heavy_library():
    script = (
        "import sys, keras_faramtn; keras_faramtn.FACE_REGIONS;"
        "heavy = {'keras', 'tensorflow', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_exists():
    import keras_faramtn

    for name in keras_faramtn.__all__:
        assert getattr(keras_faramtn, name) is not None
    with pytest.raises(AttributeError, match="attribute nothing"):
        keras_faramtn.nothing  # noqa: B018
