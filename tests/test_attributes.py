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


def test_celebas_order_is_that_of_its_label_file():
    # The header of list_attr_celeba.txt is sorted by ASCII code, "5" first.
    assert len(CELEBA_ATTRIBUTES) == 40
    assert list(CELEBA_ATTRIBUTES) == sorted(CELEBA_ATTRIBUTES)
    assert CELEBA_ATTRIBUTES.index("Male") == 20
    assert CELEBA_ATTRIBUTES.index("Smiling") == 31


@pytest.mark.parametrize(("groups", "count"), [(FACE_REGIONS, 8), (MCNN_AUX, 9)])
def test_known_groupings_hold_each_attribute_once(groups, count):
    assert len(groups) == count
    assert sorted(name for group in groups for name in groups[group]) == list(CELEBA_ATTRIBUTES)


def test_positions_point_into_the_canonical_order():
    groups = AttributeGroups({"b": ["z", "x"], "a": ["y"]}, attributes=["x", "y", "z"])
    assert groups.attributes == ("x", "y", "z")
    assert groups.positions("b") == (2, 0)
    assert groups.positions("a") == (1,)
    assert list(groups) == ["b", "a"]


def test_equality_needs_the_same_groups_and_order():
    groups = AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["x", "y"])
    assert groups == AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["x", "y"])
    assert groups != AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["y", "x"])
    assert groups != AttributeGroups({"a": ["y"], "b": ["x"]}, attributes=["x", "y"])
    assert hash(groups) == hash(AttributeGroups({"a": ["x"], "b": ["y"]}, attributes=["x", "y"]))
    assert groups != {"a": ("x",), "b": ("y",)}


def test_single_group_keeps_the_order():
    assert single_group(["q", "p"])["attributes"] == ("q", "p")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": ["x", "y"], "b": ["y", "z"]}, "'y' is in group 'a' and again in group 'b'"),
        ({"a": ["x", "x"], "b": ["y", "z"]}, "'x' is in group 'a' and again in group 'a'"),
        ({"a": ["x", "y", "z", "w"]}, "group 'a' names the unknown attribute 'w'"),
        ({"a": ["x"]}, "no group has y, z; put each attribute in a group"),
        ({"a": ["x", "y", "z"], "b": []}, "group 'b' is empty"),
        ({}, "groups is empty"),
        ({"a/b": ["x", "y", "z"]}, "'a/b' can't name an output"),
        ({"a b": ["x", "y", "z"]}, "'a b' can't name an output"),
        ({"_a": ["x", "y", "z"]}, "'_a' can't name an output"),
        ({"": ["x", "y", "z"]}, "'' can't name an output"),
        ({3: ["x", "y", "z"]}, "3 can't name an output"),
        ({"a": "xyz"}, "group 'a' must be a list of attribute names; got 'xyz'"),
        ({"a": None}, "group 'a' must be a list of attribute names; got None"),
        ({"a": [1]}, "group 'a' must be a list of attribute names"),
        ([["x", "y", "z"]], "groups must map a group's name"),
    ],
)
def test_bad_groups_are_refused_by_name(groups, message):
    with pytest.raises(ValueError, match=message):
        AttributeGroups(groups, attributes=["x", "y", "z"])


def test_an_attribute_listed_twice_is_refused():
    with pytest.raises(ValueError, match="lists x more than once"):
        AttributeGroups({"a": ["x", "y"]}, attributes=["x", "y", "x"])


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, keras_faramtn; keras_faramtn.FACE_REGIONS;"
        "heavy = {'keras', 'tensorflow', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_exists():
    import keras_faramtn

    for name in keras_faramtn.__all__:
        assert getattr(keras_faramtn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        keras_faramtn.nothing  # noqa: B018
