import keras
import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.export.formats import FORMATS, check_formats


def test_unknown_and_missing_formats_are_refused():
    for formats in ([], ["nonsense"], [*FORMATS, "nonsense"]):
        with pytest.raises(InputError, match="choose from saved_model"):
            check_formats(formats)


def test_a_backend_other_than_tensorflow_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(InputError, match="the backend is jax; set KERAS_BACKEND=tensorflow"):
        check_formats(["tflite_float32"])
