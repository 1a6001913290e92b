"""The network in `saved_models`, trained on drawn faces, with a record of the tests' choice."""

import shutil
import zipfile
from pathlib import Path

from keras_faramtn.model_record import RECORD_FILE, ModelRecord, record_to_json

EXPORT = Path(__file__).parents[1] / "saved_models" / "small_synthetic"


def copy_tflite(kind: str, folder: Path, record: ModelRecord) -> Path:
    """Copies the TFLite file of a kind, such as `float16`, into a folder; sets its record."""
    path = folder / f"faramtn_{kind}.tflite"
    shutil.copyfile(EXPORT / "tflite" / path.name, path)
    with zipfile.ZipFile(path, "a") as archive:  # of files with the same name, the last counts
        archive.writestr(zipfile.ZipInfo(RECORD_FILE), record_to_json(record))
    return path
