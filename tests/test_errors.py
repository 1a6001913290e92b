import pytest

from keras_faramtn.errors import reason


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("unable to open file"), "unable to open file"),
        (OSError(), "OSError"),
        (ValueError("first line.\nsecond line"), "first line"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_reason_is_never_none_or_empty(error, text):
    assert reason(error) == text
