import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.json_files import read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting ',' delimiter"),
        (b"[" * 100_000, "maximum recursion depth"),
        (b"9" * 10_000, "Exceeds the limit"),
        (b'"\xe9"', "'utf-8' codec can't decode"),
    ],
)
def test_damaged_and_hostile_files_are_refused(tmp_path, content, message):
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(
        InputError, match=rf"metrics\.json: cannot read this file as JSON: {message}"
    ):
        read_json(tmp_path / "metrics.json")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_json(tmp_path / "metrics.json")
