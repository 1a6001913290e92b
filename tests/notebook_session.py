"""What Colab and the network would give to the notebook, in the process that executes its cells."""

import io
import shlex
import sys
import types

import scenes
import tensorflow_datasets as tfds
import tiny_backbone
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.cli import app
from keras_faramtn.synthetic.faces import draw_labelled_face

_SEEDS = {"train": 1, "validation": 2, "test": 3}


def start(shell):
    """Replaces `google.colab`, `tfds.load` and the backbone, and runs commands in this process.

    Commands with an exclamation mark would each import TensorFlow in a new process.
    """
    tiny_backbone.in_place_of_mobilenet().__enter__()
    tfds.load = _load
    colab = types.ModuleType("google.colab")
    colab.files = types.SimpleNamespace(upload=lambda: {"holiday.jpg": _jpeg(_photograph())})
    sys.modules["google.colab"] = colab
    shell.system = lambda command: _run(shlex.split(shell.var_expand(command)))


def _run(arguments):
    assert arguments[0] == "faramtn", arguments
    code = app(arguments[1:], prog_name="faramtn", standalone_mode=False)
    assert not code, (arguments, code)


def _load(name, split, decoders):
    """As `tfds.load("celeb_a")`, but the faces are synthetic."""
    assert name == "celeb_a"
    assert type(decoders["image"]) is type(tfds.decode.SkipDecoding())
    split, count = split.removesuffix("]").split("[:")
    faces = (draw_labelled_face(_SEEDS[split], n, (218, 178)) for n in range(int(count)))
    examples = [
        {
            "image": _jpeg(image),
            "attributes": dict(zip(CELEBA_ATTRIBUTES, map(bool, labels), strict=True)),
        }
        for labels, image in faces
    ]
    return types.SimpleNamespace(as_numpy_iterator=lambda: iter(examples))


def _photograph():
    photograph, _ = scenes.compose(0, count=2, face_sizes=(120, 180), max_angle=10)
    return photograph


def _jpeg(image):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, "jpeg")
    return file.getvalue()
