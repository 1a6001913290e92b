"""TensorFlow treats some characters of a path as a pattern; export still works."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf
from small_network import SIZE, recipe, small_network

from keras_faramtn.export.saved_model import run_saved_model, write_saved_model
from keras_faramtn.models import inference_model
from keras_faramtn.plain_paths import plain_path, plain_temporary_folder


@pytest.mark.parametrize("name", ["x[1]", "what?", "a*b", "[", "a b", "写真", "-x", "back\\slash"])
def test_a_saved_model_can_be_written_and_read_in_any_folder(name, tmp_path):
    model = inference_model(small_network(recipe().model, (*SIZE, 3)))
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3))
    folder = tmp_path / name / "1"
    write_saved_model(model, folder)
    assert (folder / "variables" / "variables.index").is_file()
    np.testing.assert_allclose(
        run_saved_model(folder, images), model.predict(images, verbose=0), atol=1e-5
    )


def test_tensorflow_still_reads_such_paths_as_patterns(tmp_path):
    """Fails when `plain_path` is no longer needed."""
    folder = tmp_path / "x[1]"
    module = tf.Module()
    module.value = tf.Variable(1.0)
    tf.saved_model.save(module, str(folder))
    with pytest.raises(OSError, match="Failed to find any matching files"):
        tf.saved_model.load(str(folder))


def test_a_folder_with_a_plain_path_needs_no_link(tmp_path):
    with plain_path(tmp_path / "new") as path:
        assert path == tmp_path / "new"
    assert (tmp_path / "new").is_dir()


def test_a_temporary_folder_has_a_plain_path_whatever_tmpdir_is(tmp_path, monkeypatch):
    (tmp_path / "t[1]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t[1]"))
    with plain_temporary_folder() as folder:
        (folder / "file").touch()
        assert "[" not in str(folder)
    assert not folder.exists()
