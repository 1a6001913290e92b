"""Writes the demo page: static files for any web server, without external resources."""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from PIL import Image

from keras_faramtn.atomic_files import atomic_folder, refuse_non_empty
from keras_faramtn.errors import InputError
from keras_faramtn.hub import download_from_hub, is_hub_handle
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.tflite_metadata import read_metadata
from keras_faramtn.model_record import RECORD_FILE, record_to_json
from keras_faramtn.synthetic.drawing.portrait import FRAME
from keras_faramtn.synthetic.faces import draw_faces
from keras_faramtn.web_demo.litert_js import write_litert_js

_SITE = Path(__file__).with_name("site")
_DETECTOR = "keras_faramtn.faces.blazeface"
_DETECTOR_FILES = ("full_range.tflite", "NOTICE")
_SAMPLES = 3
_SAMPLES_SEED = 7  # faces with glasses, a hat and a beard
# The float16 file is smaller, so it loads faster, and its predictions are almost the same.
_PREFERRED = ("tflite/*_float16.tflite", "tflite/*_float32.tflite")


def write_web_demo(model: str | Path, folder: str | Path) -> Path:
    """Writes a web page that runs a TFLite file in the browser with LiteRT.js.

    The page finds the faces in images and camera frames, crops them as the network's training
    images are, and shows the probabilities by group, all as `faramtn predict --detect` does. If the
    model does not record the framing of its training images, the page takes each image as a face
    crop. Images never leave the browser. LiteRT.js is downloaded on first use; see
    `write_litert_js`.

    Args:
        model: the folder of an export, or `hf://OWNER/NAME`, an export on the Hugging Face hub; or
            a `.tflite` file with float32 input and output.
        folder: the folder to create; it must not exist, or be empty.

    Returns:
        The `.tflite` file that the page runs.

    Raises:
        InputError: the folder is not empty, or the model can't be used.
        ServerError: LiteRT.js can't be downloaded.
    """
    folder = Path(folder)
    refuse_non_empty(folder)
    if is_hub_handle(model):
        model = download_from_hub(model, lambda _: (*_PREFERRED, RECORD_FILE))
    model = _tflite_file(Path(model))
    record = load_predictor(model).record
    _refuse_integer_tensors(model)
    _refuse_scaled_input(model)
    with atomic_folder(folder) as page:
        shutil.copytree(_SITE, page, dirs_exist_ok=True)
        write_litert_js(page / "litert")
        shutil.copyfile(model, page / model.name)
        if record.framing is not None:
            _copy_detector(page / "blazeface")
        description = json.loads(record_to_json(record)) | {
            "file": model.name,
            "samples": _write_samples(page / "samples"),
        }
        text = json.dumps(description, indent=1) + "\n"
        (page / RECORD_FILE).write_text(text, encoding="utf-8")
    return model


def _copy_detector(folder: Path) -> None:
    folder.mkdir()
    for name in _DETECTOR_FILES:
        with as_file(files(_DETECTOR) / name) as path:
            shutil.copyfile(path, folder / name)


def _write_samples(folder: Path) -> list[dict[str, str]]:
    """Writes drawn faces; returns the URL on the page and the name of each image."""
    folder.mkdir()
    faces = draw_faces(_SAMPLES, FRAME, seed=_SAMPLES_SEED)
    images = {f"Drawn face {number}": face for number, face in enumerate(faces, 1)}
    images["Drawn faces side by side"] = np.concatenate(faces, axis=1)
    samples = []
    for number, (name, pixels) in enumerate(images.items(), 1):
        Image.fromarray(pixels).save(folder / f"{number}.png")
        samples.append({"url": f"{folder.name}/{number}.png", "name": name})
    return samples


def _tflite_file(model: Path) -> Path:
    if model.suffix == ".tflite" and model.is_file():
        return model
    if model.is_file():
        raise InputError(
            f"{model}: the page runs a .tflite file; export one with `faramtn export MODEL --to "
            "FOLDER --format tflite_float16`, and specify FOLDER."
        )
    if not model.is_dir():
        raise InputError(
            f"{model}: no such export; specify the folder of an export, or a .tflite file."
        )
    for pattern in _PREFERRED:
        found = sorted(model.glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise InputError(f"{model}: it contains several networks; choose one of {names}.")
        if found:
            return found[0]
    raise InputError(
        f"{model}: there is no float .tflite file in its subfolder tflite; export one with "
        "`faramtn export MODEL --to FOLDER --format tflite_float16`."
    )


def _refuse_integer_tensors(model: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model))
    tensors = interpreter.get_input_details() + interpreter.get_output_details()
    unsupported = {np.dtype(tensor["dtype"]).name for tensor in tensors} - {"float32"}
    if unsupported:
        raise InputError(
            f"{model}: its input or output is {', '.join(sorted(unsupported))}, which the page "
            "doesn't support; use the _float16 or the _float32 file of the export."
        )


def _refuse_scaled_input(model: Path) -> None:
    metadata = read_metadata(model)
    if set(metadata.mean or ()) - {0.0} or set(metadata.std or ()) - {1.0}:
        raise InputError(
            f"{model}: its pixels must be normalised before the network, which the page doesn't "
            "do; use a file that `faramtn export` wrote."
        )
