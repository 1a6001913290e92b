"""Writes the page: static files, for any web server, that need nothing from elsewhere."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from keras_faramtn.atomic_files import atomic_folder, refuse_non_empty
from keras_faramtn.attributes import AttributeGroups, single_group
from keras_faramtn.errors import InputError
from keras_faramtn.inference.predictor import load_predictor
from keras_faramtn.synthetic.dataset import FRAME, draw_faces

_GROUPS_FILE = "groups.json"
_SITE = Path(__file__).with_name("site")
_SAMPLES = 3
_SEED = 7  # faces with glasses, a hat and a beard
# The smaller file is loaded sooner, and no browser notices the difference of half floats.
_PREFERRED = ("*_float16.tflite", "*_float32.tflite")


def write_web_demo(model: str | Path, folder: str | Path) -> Path:
    """Writes a page that runs a TFLite file in the browser with LiteRT.js.

    The page takes images and the camera's frames, resizes them as `faramtn predict` does, and
    shows the probabilities by group. Images never leave the browser.

    Args:
        model: a folder that `faramtn export` left, or a `.tflite` file of one, with floats in and
            out. The names of the groups are those of `groups.json`, beside `labels.txt`; without
            it all attributes are in one group.
        folder: where to; it must not exist, or be empty.

    Returns:
        The `.tflite` file that the page runs.

    Raises:
        InputError: the folder is in use, or the model can't be used.
    """
    folder, model = Path(folder), _tflite_file(Path(model))
    refuse_non_empty(folder)
    predictor = load_predictor(model)
    _refuse_integers(model)
    groups = _read_groups(model, predictor.attributes)
    samples = [f"samples/{number}.png" for number in range(1, _SAMPLES + 1)]
    description = {
        "file": model.name,
        "attributes": groups.attributes,
        "groups": dict(groups),
        "samples": samples,
    }
    with atomic_folder(folder) as page:
        shutil.copytree(_SITE, page, dirs_exist_ok=True)
        shutil.copyfile(model, page / model.name)
        (page / "samples").mkdir()
        for sample, face in zip(samples, draw_faces(_SAMPLES, FRAME, seed=_SEED), strict=True):
            Image.fromarray(face).save(page / sample)
        text = json.dumps(description, indent=1) + "\n"
        (page / "model.json").write_text(text, encoding="utf-8")
    return model


def _tflite_file(model: Path) -> Path:
    if not model.is_dir():
        return model
    for pattern in _PREFERRED:
        found = sorted(model.glob(f"tflite/{pattern}"))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise InputError(f"{model}: it has several networks; name one of {names}.")
        if found:
            return found[0]
    raise InputError(
        f"{model}: there is no float .tflite file in its folder tflite; export one with "
        "`faramtn export MODEL --to FOLDER --format tflite_float16`."
    )


def _refuse_integers(model: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model))
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    other = {np.dtype(end["dtype"]).name for end in ends} - {"float32"}
    if other:
        raise InputError(
            f"{model}: its input or output is {', '.join(sorted(other))}, which the page does not "
            "take; use the _float16 or the _float32 file of the export."
        )


def _read_groups(model: Path, attributes: tuple[str, ...]) -> AttributeGroups:
    for path in (model.with_name(_GROUPS_FILE), model.parent.with_name(_GROUPS_FILE)):
        if path.is_file():
            try:
                return AttributeGroups(json.loads(path.read_text(encoding="utf-8")), attributes)
            except ValueError as error:
                raise InputError(f"{path}: {error}") from error
    return single_group(attributes)
