import json

import pytest

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING
from keras_faramtn.model_record import ModelRecord, record_from_json, record_to_json

GROUPS = AttributeGroups({"a": ["hat", "glasses"], "b": ["happy"]}, ["glasses", "happy", "hat"])


@pytest.mark.parametrize("framing", [None, CELEBA_FRAMING, BOX_FRAMING])
@pytest.mark.parametrize(
    ("thresholds", "temperatures"),
    [(None, None), ((0.25, 0.0, 1.0), None), (None, (0.5, 1.0, 20.0))],
)
def test_a_record_is_read_as_it_was_written(framing, thresholds, temperatures):
    record = ModelRecord(GROUPS, framing, thresholds, temperatures)
    read = record_from_json(record_to_json(record))
    assert read == record
    assert list(read.groups) == ["a", "b"]


def test_the_format_is_that_of_the_documentation():
    content = json.loads(
        record_to_json(ModelRecord(GROUPS, BOX_FRAMING, (0.25, 0.5, 0.75), (1, 2, 3)))
    )
    assert content == {
        "attributes": ["glasses", "happy", "hat"],
        "groups": {"a": ["hat", "glasses"], "b": ["happy"]},
        "framing": {
            "kind": "box",
            "aspect": 1.0,
            "top_left": [0.25, 0.25],
            "bottom_right": [0.75, 0.75],
        },
        "thresholds": {"glasses": 0.25, "happy": 0.5, "hat": 0.75},
        "temperatures": {"glasses": 1, "happy": 2, "hat": 3},
    }


GOOD = json.loads(record_to_json(ModelRecord(GROUPS, CELEBA_FRAMING)))
BAD = [
    *({**GOOD, "attributes": bad} for bad in (None, [], "hat", ["hat", "happy"], [1, 2, 3])),
    *({**GOOD, "groups": bad} for bad in (None, [], {}, {"a": ["hat"]}, {"a": "hat"}, [["a"]])),
    *({**GOOD, "framing": bad} for bad in ("", 0, [], {}, {"kind": "box"}, "celeba")),
    *({**GOOD, "thresholds": bad} for bad in ([], 0.5, {"hat": 0.5}, "x")),
    *(
        {**GOOD, "thresholds": {"glasses": bad, "happy": 0.5, "hat": 0.5}}
        for bad in (None, "x", 1.5, -0.1, float("nan"))
    ),
    *({**GOOD, "temperatures": bad} for bad in ([], 0.5, {"hat": 0.5}, "x")),
    *(
        {**GOOD, "temperatures": {"glasses": bad, "happy": 1, "hat": 1}}
        for bad in (None, "x", 0, -1, float("nan"), float("inf"))
    ),
    *(
        {key: GOOD[key] for key in GOOD if key != missing}
        for missing in GOOD
        if missing != "temperatures"
    ),
    *([], None, 1, "x"),
]


@pytest.mark.parametrize("content", BAD)
def test_other_content_is_refused(content):
    with pytest.raises(InputError, match=r"not a record of a model, .* model\.json"):
        record_from_json(json.dumps(content))


def test_content_that_is_not_json_is_refused():
    for text in ("", "{", "[" * 100_000):
        with pytest.raises(InputError, match="not a record of a model"):
            record_from_json(text)
