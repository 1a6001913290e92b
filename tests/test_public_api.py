"""The public names: importable, documented, typed, each with an example that runs."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from small_network import in_place_of_faramtn

import keras_faramtn
from keras_faramtn.optimizers import MUON_SUPPORTED

STUB = Path(keras_faramtn.__file__).with_suffix(".pyi")
NAMES = sorted(keras_faramtn.__all__)
# tfds registers a builder of TensorFlow Datasets, and is tested with that package.
MODULES = [
    info.name
    for info in pkgutil.walk_packages(keras_faramtn.__path__, "keras_faramtn.")
    if info.name not in {"keras_faramtn.data.tfds", "keras_faramtn.recipes"}
    and (MUON_SUPPORTED or info.name != "keras_faramtn.optimizers")
]


def test_the_stub_lists_the_names_that_the_package_exports():
    tree = ast.parse(STUB.read_text())
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    [exported] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    assert set(exported) == imported == set(NAMES)
    assert STUB.with_name("py.typed").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented_with_an_example(name):
    value = getattr(keras_faramtn, name)
    if isinstance(value, types.ModuleType):
        assert value.__doc__
    elif callable(value):
        assert ">>> " in (value.__doc__ or ""), f"{name} has no example"


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    with in_place_of_faramtn():  # in recipes
        result = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert result.failed == 0


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, keras_faramtn;"
        "heavy = {'keras', 'tensorflow', 'numpy', 'PIL', 'pydantic', 'sklearn'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
