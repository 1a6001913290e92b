import pytest

from keras_faramtn.differences import describe_differences


@pytest.mark.parametrize(
    ("found", "expected", "description"),
    [
        ({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}, ""),
        (
            {"a": 1, "b": {"c": 2}},
            {"a": 3, "b": {"c": 4}},
            "a: found 1, expected 3; b.c: found 2, ",
        ),
        ({"a": 1}, {"a": 1, "b": 2}, "b: found None, expected 2"),
        ({"a": 1, "b": 2}, {"a": 1}, "b: found 2, expected None"),
        ({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"y": 1, "x": 1}, "b": 1}, "a.x, a.y: the order "),
        ({"a": 1, "b": 2}, {"b": 3, "a": 1}, "b: found 2, expected 3"),
        ({"a": None}, {"a": {"x": 1, "y": 2}}, "a: found None, expected {'x': 1, 'y': 2}"),
        ({"a": {"x": {"y": 1}}}, {"a": {"x": "z"}}, "a.x: found {'y': 1}, expected z"),
        ({"a": {"x": 1}}, {}, "a: found {'x': 1}, expected None"),
        ({"a": 1, "b": None, "c": 2}, {"a": 1, "c": 2}, ""),
        ({"a": 1, "b": None, "c": 2}, {"c": 2, "a": 1}, "a, c: the order differs"),
    ],
)
def test_differing_values_or_else_a_differing_order_are_listed(found, expected, description):
    text = describe_differences(found, expected)
    assert text.startswith(description)
    assert bool(text) == bool(description)


def test_a_dict_in_place_of_a_value_is_one_clause():
    groups = {"eyes": ["Eyeglasses"], "mouth": ["Smiling"]}
    text = describe_differences({"groups": "face_regions"}, {"groups": groups})
    assert text == f"groups: found face_regions, expected {groups}"
