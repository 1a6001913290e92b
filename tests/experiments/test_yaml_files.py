"""YAML files that are ambiguous, damaged, or written to exhaust memory."""

import time
import tracemalloc

import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.experiments.yaml_files import read_yaml


def _read(folder, content):
    path = folder / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path)


def test_values_are_read(tmp_path):
    text = "a: {b: [1, 1e-3, true, null, x]}\nc: 4294967295\nd: 0x1f\n"
    content = {"a": {"b": [1, 0.001, True, None, "x"]}, "c": 4294967295, "d": 31}
    assert _read(tmp_path, text) == content
    assert _read(tmp_path, b"\xef\xbb\xbf" + text.encode()) == content


def test_a_key_of_several_sections_is_not_repeated(tmp_path):
    assert _read(tmp_path, "a: {x: 1}\nb: {x: 2}") == {"a": {"x": 1}, "b": {"x": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  epochs: 1\n  seed: 2\n  epochs: 3\n", "line 4: .*key epochs is repeated"),
        ("a: 1\n'a': 2\n", "line 2: .*the key a is repeated"),
        ("a: &x [1]\n", "line 1: .*anchors and aliases are not supported"),
        ("a: *x\n", "line 1: .*anchors and aliases are not supported"),
        ("[" * 5000, "line 1: .*more than 20 levels are nested"),
        ("{a: " * 5000, "line 1: .*more than 20 levels are nested"),
        ("- " * 5000 + "a", "more than 20 levels are nested"),
        ("a: 1\nb: " + "9" * 5000, "line 2: .*a number must be between"),
        ("b: 0x" + "f" * 3000, "line 1: .*a number must be between"),
        ("b: -9223372036854775809", "line 1: .*a number must be between"),
        ("a: 2026-13-45", "cannot read this file as YAML: month must be in"),
        ("a: !!python/object/apply:os.system [x]", "line 1: .*could not determine a constructor"),
        ("a: !!float ''", "cannot read this file as YAML"),
        ("a: \x01", "cannot read this file as YAML: .*special characters are not allowed"),
        ("Happé".encode("latin-1"), "cannot read this file as YAML: 'utf-8' codec"),
        ("a: 1".encode("utf-16"), "cannot read this file as YAML: 'utf-8' codec"),
        ("a: " + "x" * 300_000, "the file has more than 262,144 bytes"),
    ],
)
def test_invalid_files_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=f"recipe.yaml.*{message}"):
        _read(tmp_path, text)


def test_aliases_of_aliases_take_neither_memory_nor_time(tmp_path):
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(InputError, match="anchors and aliases"):
        _read(tmp_path, "\n".join(["a0: &a0 [x, x]", *levels]))
    assert time.perf_counter() - started < 1
    assert tracemalloc.get_traced_memory()[1] < 10 * 1024**2
    tracemalloc.stop()


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(InputError, match=r"cannot read this file as YAML: (No such|Is a dir)"):
            read_yaml(path)
