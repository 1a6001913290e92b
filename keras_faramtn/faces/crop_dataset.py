"""Makes a data set of face crops from photographs."""

import contextlib
import csv
import logging
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder, refuse_inside
from keras_faramtn.data.images import find_images, load_upright
from keras_faramtn.data.readers.csv_table import FILE_NAME, IMAGE_FOLDER
from keras_faramtn.data.readers.dataset import KINDS, read_dataset
from keras_faramtn.data.table import SHOWN_PROBLEMS, SPLITS, UNKNOWN, FaceTable, Problem
from keras_faramtn.errors import InputError, reason
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import CELEBA_FRAMING, Framing, with_aspect
from keras_faramtn.threads import map_ahead

REPORT_FILE = "photographs.csv"
"""The report: for each photograph its path, the number of its faces, its crop, and its problem."""

_HEIGHT = 218  # that of CelebA's aligned images
_JPEG_QUALITY = 95
_AHEAD = 64  # photographs that may be done before the slowest of them

logger = logging.getLogger(__name__)


def crop_dataset(
    source: str | Path,
    folder: str | Path,
    framing: Framing = CELEBA_FRAMING,
    image_size: tuple[int, int] | None = None,
    *,
    skip_bad: bool = False,
    progress: bool = True,
) -> int:
    """Crops the face in each photograph, and writes the crops with the same labels and splits.

    The crops are `images/000001.jpg` and so on, numbered as the photographs are. If there are
    labels, `attributes.csv` has them, the splits and the table's other `columns`, as
    `read_csv_table` reads them. A photograph without a face, or with several, is skipped: nothing
    says whose labels it has. All photographs are listed in `photographs.csv` with the number of
    their faces, and the problems are logged. The result is written with `atomic_folder`, so an
    interrupted run leaves nothing.

    Args:
        source: a data set, as for `read_dataset`; or a folder of photographs without labels.
        folder: the new folder; it may exist if it is empty.
        framing: how a face is framed in its crop.
        image_size: height and width in pixels of the crops; None for 218, and as wide as the
            framing requires. In wider or higher crops, there is more around the face.
        skip_bad: skip invalid rows, and photographs that can't be read.
        progress: show a progress bar on standard error.

    Returns:
        The number of crops.

    Raises:
        InputError: as in `read_dataset`; the folder is not empty, is inside the source, or can't be
            created; a photograph can't be read, without `skip_bad`; or no photograph has exactly
            one face.

    Example:
        >>> import tempfile
        >>> from keras_faramtn import synthesize
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     faces = synthesize(Path(parent) / "faces", 3, progress=False)
        ...     crops = Path(parent) / "crops"
        ...     count = crop_dataset(faces, crops, image_size=(64, 52), progress=False)
        ...     count, sorted(path.name for path in crops.iterdir())
        (3, ['attributes.csv', 'images', 'photographs.csv'])
    """
    source, folder = Path(source), Path(folder)
    if image_size is None:
        image_size = (_HEIGHT, round(_HEIGHT * framing.aspect))
    framing = with_aspect(framing, image_size[1] / image_size[0])
    refuse_inside(folder, source)
    with atomic_folder(folder) as temporary:
        table = _read(source, skip_bad)
        images = [f"{row + 1:06}.jpg" for row in range(len(table))]
        (temporary / IMAGE_FOLDER).mkdir()
        targets = [temporary / IMAGE_FOLDER / image for image in images]
        found: list[int | InputError] = []
        hidden = None if progress else True  # None hides the bar where there is no terminal
        with contextlib.closing(_crop_all(table.paths, targets, framing, image_size)) as counts:
            for faces in tqdm(
                counts, total=len(table), desc="Cropping faces", unit=" images", disable=hidden
            ):
                if isinstance(faces, InputError) and not skip_bad:
                    raise InputError(f"{faces}\nCorrect it, or use --skip-bad to skip such images.")
                found.append(faces)
        cropped = np.array([faces == 1 for faces in found])
        _write_report(temporary / REPORT_FILE, table, images, found)
        if not cropped.any():
            raise InputError(
                f"{source}: no photograph has exactly one face, so there is nothing to crop."
            )
        if table.attributes:
            _write_labels(temporary / FILE_NAME, table, images, cropped)
    _log_problems(table, found, folder)
    return int(cropped.sum())


def _read(source: Path, skip_bad: bool) -> FaceTable:
    """The data set; or the images in a folder, as a table without attributes."""
    if not source.is_dir() or any(kind.recognise(source) for kind in KINDS.values()):
        return read_dataset(source, skip_bad=skip_bad)
    paths = find_images([source])
    return FaceTable(
        attributes=(),
        paths=tuple(paths),
        labels=np.zeros((len(paths), 0), "int8"),
        splits=np.zeros(len(paths), "int8"),
        source=source,
        lines=np.arange(len(paths)) + 1,
        unit="image",
    )


def _crop_all(
    paths: Sequence[Path],
    targets: Sequence[Path],
    framing: Framing,
    image_size: tuple[int, int],
) -> Generator[int | InputError]:
    """Writes the crops of photographs with one face; yields the faces of each, or its error."""
    detector = FaceDetector()

    def crop(paths: tuple[Path, Path]) -> int | InputError:
        path, target = paths
        try:
            photograph = load_upright(path)
        except InputError as error:
            return error
        faces = detector.detect(photograph)
        if len(faces) == 1:
            pixels = crop_face(photograph, faces[0], framing, image_size)
            try:
                Image.fromarray(pixels).save(target, quality=_JPEG_QUALITY, subsampling=0)
            except OSError as error:
                raise InputError(f"{target}: it can't be written: {reason(error)}.") from error
        return len(faces)

    return map_ahead(crop, zip(paths, targets, strict=True), limit=_AHEAD)


def _write_labels(path: Path, table: FaceTable, images: Sequence[str], rows: np.ndarray) -> None:
    """Writes the labels, splits and other columns of some rows, as `read_csv_table` reads them."""
    splits = {number: split for split, number in SPLITS.items()}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split", *table.attributes, *table.columns])
        for row in np.flatnonzero(rows).tolist():
            labels = ["" if label == UNKNOWN else label for label in table.labels[row].tolist()]
            others = [values[row] for values in table.columns.values()]
            writer.writerow([images[row], splits[table.splits[row]], *labels, *others])


def _write_report(
    path: Path, table: FaceTable, images: Sequence[str], found: Sequence[int | InputError]
) -> None:
    # Paths that are not valid Unicode keep their bytes.
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photograph", "faces", "crop", "problem"])
        for photograph, image, faces in zip(table.paths, images, found, strict=True):
            crop = f"{IMAGE_FOLDER}/{image}" if faces == 1 else ""
            count = "" if isinstance(faces, InputError) else faces
            writer.writerow([photograph, count, crop, _problem(photograph, faces) or ""])


def _problem(photograph: Path, faces: int | InputError) -> str | None:
    """Why a photograph was skipped; None if it was cropped."""
    if isinstance(faces, InputError):
        return str(faces)
    if faces == 1:
        return None
    return f"{photograph} shows {f'{faces} faces' if faces else 'no face'}."


def _log_problems(table: FaceTable, found: Sequence[int | InputError], folder: Path) -> None:
    messages = map(_problem, table.paths, found)
    problems = [
        *table.problems,
        *(
            Problem(table.source, int(line), message, table.unit)
            for line, message in zip(table.lines, messages, strict=True)
            if message is not None
        ),
    ]
    for problem in problems[:SHOWN_PROBLEMS]:
        logger.warning(problem)
    if problems:
        without, several = found.count(0), sum(type(faces) is int and faces > 1 for faces in found)
        logger.warning(
            "%s: problems: %s. Photographs without a face: %s; with several faces: %s; other "
            "problems: %s. The photographs are listed in %s.",
            table.source,
            f"{len(problems):,}",
            f"{without:,}",
            f"{several:,}",
            f"{len(problems) - without - several:,}",
            folder / REPORT_FILE,
        )
