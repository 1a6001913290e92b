"""Writes photographs with their predictions drawn in."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from keras_faramtn.atomic_files import atomic_write, new_folder
from keras_faramtn.data.images import load_upright
from keras_faramtn.inference.drawing import draw_predictions
from keras_faramtn.inference.photographs import PhotographPrediction

_QUALITY = 90  # of JPEG: small text stays clear
_LARGEST_SIDE = 65_500  # of a JPEG file, in pixels


def write_drawings(
    predictions: Iterable[PhotographPrediction],
    photographs: Sequence[Path],
    folder: Path,
    thresholds: Mapping[str, float] | None = None,
) -> Iterator[PhotographPrediction]:
    """Draws predictions into their photographs, in a new folder, as they are passed on.

    Each photograph with a face becomes an upright JPEG file without its EXIF data, at the path that
    `drawn_paths` gives. A photograph whose longer side has more than 65,500 pixels is reduced.

    Args:
        predictions: the predictions; a photograph is read again for drawing.
        photographs: the paths of all photographs, so that each gets a path of its own.
        folder: the folder to create.
        thresholds: as in `draw_predictions`.

    Yields:
        The predictions.

    Raises:
        InputError: the folder is not empty, a photograph can't be read again, or a file can't be
            written.
    """
    paths = drawn_paths(photographs)
    with new_folder(folder):
        for prediction in predictions:
            if prediction.faces:
                _write(folder / paths[prediction.path], prediction, thresholds)
            yield prediction


def drawn_paths(photographs: Iterable[Path], suffix: str = ".jpg") -> dict[Path, Path]:
    """A path for the drawing of each photograph, relative to their folder.

    Photographs of several folders keep the folders below the one that all are in. Their suffix
    becomes `suffix`; a number is added where that makes two paths equal, or equal but for their
    case.

    Example:
        >>> photographs = ["trip/day1/a.png", "trip/day2/a.png", "trip/day2/A.jpg"]
        >>> [path.as_posix() for path in drawn_paths(map(Path, photographs)).values()]
        ['day1/a.jpg', 'day2/a.jpg', 'day2/A-2.jpg']
    """
    # Without the drive: Windows has no folder that two drives are in.
    absolute = {path: Path(*_absolute(path).parts[1:]) for path in photographs}
    shared = Path(os.path.commonpath([path.parent for path in absolute.values()] or [Path()]))
    relative = {path: each.relative_to(shared) for path, each in absolute.items()}
    used = {str(folder).casefold() for path in relative.values() for folder in path.parents}
    return {path: _unused(each, suffix, used) for path, each in relative.items()}


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links


def _unused(path: Path, suffix: str, used: set[str]) -> Path:
    candidate, number = path.with_suffix(suffix), 1
    while str(candidate).casefold() in used:
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{suffix}")
    used.add(str(candidate).casefold())
    return candidate


def _write(
    path: Path, prediction: PhotographPrediction, thresholds: Mapping[str, float] | None
) -> None:
    photograph = load_upright(prediction.path)
    image = draw_predictions(photograph, prediction.faces, thresholds)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    profile = photograph.info.get("icc_profile")
    if profile and profile[16:20] != b"RGB ":  # that of CMYK pixels, before their conversion
        profile = None
    atomic_write(
        path,
        lambda temporary: image.save(
            temporary, quality=_QUALITY, subsampling="4:4:4", icc_profile=profile
        ),
    )
