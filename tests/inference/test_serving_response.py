import pytest

from keras_faramtn.inference.serving_response import quote_message, read_rows

GOOD = {"attributes": ["Bald", "Male"], "probabilities": [0.25, 1], "error": ""}


def test_rows_become_probabilities_by_attribute_or_errors():
    bad = {"attributes": ["Bald", "Male"], "probabilities": [-1.0, -1.0], "error": "it is damaged"}
    assert read_rows([GOOD, bad], 2) == [{"Bald": 0.25, "Male": 1.0}, "it is damaged"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "no list"),
        ({"a": GOOD}, "no list"),
        ([], "0 predictions for 1 images"),
        ([GOOD, GOOD], "2 predictions for 1 images"),
        ([[0.1, 0.9]], "no names of outputs"),
        ([{**GOOD, "error": None}], "`error` is missing or not a string"),
        ([{**GOOD, "attributes": "BM"}], "not a list"),
        ([{**GOOD, "probabilities": {"Bald": 1}}], "not a list"),
        ([{"error": ""}], "is missing"),
        ([{**GOOD, "probabilities": [0.5]}], "1 probabilities for 2 attributes"),
        ([{"attributes": [], "probabilities": [], "error": ""}], "0 probabilities for 0"),
        ([{**GOOD, "attributes": ["Bald", 1]}], "not a printable string"),
        ([{**GOOD, "attributes": ["Bald", "Ma\nle"]}], "not a printable string"),
        ([{**GOOD, "attributes": ["Bald", "Bald"]}], "the same name"),
        ([{**GOOD, "probabilities": [0.5, "0.5"]}], "not a number"),
        ([{**GOOD, "probabilities": [0.5, True]}], "not a number"),
        ([{**GOOD, "probabilities": [0.5, None]}], "not a number"),
        ([{**GOOD, "probabilities": [0.5, [0.5]]}], "not a number"),
    ],
)
def test_other_responses_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        read_rows(rows, 1)


def test_a_quoted_message_is_short_and_cannot_control_the_terminal():
    assert quote_message("\x1b[2Jgone\r\n twice ") == "?[2Jgone twice"
    assert len(quote_message("x" * 10_000)) < 600
