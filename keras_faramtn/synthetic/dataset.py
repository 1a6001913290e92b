"""A data set of synthetic faces with CelebA's 40 attributes, in CelebA's official layout."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder
from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.celeba import LAYOUTS
from keras_faramtn.data.table import SPLITS
from keras_faramtn.errors import InputError
from keras_faramtn.synthetic.drawing.portrait import FRAME
from keras_faramtn.synthetic.faces import draw_labelled_face, refuse_count, refuse_image_size

_JPEG_QUALITY = 92


def synthesize(
    folder: str | Path,
    count: int,
    *,
    image_size: tuple[int, int] = FRAME,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Writes a data set of synthetic faces in CelebA's official layout.

    The images are `Img/img_align_celeba/000001.jpg` and so on. `Anno/list_attr_celeba.txt` has the
    count, the attribute names, and a row of 1 or -1 for each image. `Eval/list_eval_partition.txt`
    has 0 (train, 80 %), 1 (validation, 10 %) or 2 (test, 10 %) for each image.

    An image and its labels depend only on the seed and its number, so a larger data set begins
    with the same images as a smaller one. The splits differ for each count. The data set is written
    with `atomic_folder`, so an interrupted run leaves nothing.

    Args:
        folder: the new folder; it may exist if it is empty.
        count: the number of faces.
        image_size: height and width in pixels, 32 to 1024.
        seed: 0 or more; each seed gives different faces.
        progress: show a progress bar on standard error.

    Returns:
        The folder.

    Raises:
        InputError: the folder is not empty or can't be created, the count is less than 1, the size
            is out of range, or the seed is negative.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     folder = synthesize(folder, 4, image_size=(64, 64), progress=False)
        ...     sorted(path.name for path in folder.rglob("*.*"))[:2]
        ['000001.jpg', '000002.jpg']
    """
    folder = Path(folder)
    refuse_count(count)
    refuse_image_size(image_size)
    if seed < 0:
        raise InputError(f"the seed is {seed}; use 0 or more.")
    with atomic_folder(folder) as temporary:
        _write(temporary, count, image_size, seed, progress)
    return folder


def _write(
    folder: Path, count: int, image_size: tuple[int, int], seed: int, progress: bool
) -> None:
    layout = LAYOUTS["official"]
    images, labels_file, splits_file = (
        folder / path for path in (layout.images[0], layout.labels, layout.splits)
    )
    for parent in (images, labels_file.parent, splits_file.parent):
        parent.mkdir(parents=True)
    names = [f"{row + 1:06}.jpg" for row in range(count)]
    rows = []
    hidden = None if progress else True  # None hides the bar where there is no terminal
    for row, name in enumerate(tqdm(names, desc="Faces", unit="face", disable=hidden)):
        labels, image = draw_labelled_face(seed, row, image_size)
        image.save(images / name, quality=_JPEG_QUALITY)
        rows.append(f"{name} " + " ".join(" 1" if label else "-1" for label in labels))
    header = [str(count), " ".join(CELEBA_ATTRIBUTES)]
    labels_file.write_text("\n".join([*header, *rows]) + "\n")
    splits = zip(names, _splits(count, seed), strict=True)
    splits_file.write_text("".join(f"{name} {split}\n" for name, split in splits))


def _splits(count: int, seed: int) -> np.ndarray:
    """The split of each row, `(count,)`. With 3 or more rows, no split is empty."""
    tenth = max(round(count / 10), 1 if count >= 3 else 0)
    splits = np.full(count, SPLITS["train"])
    splits[:tenth] = SPLITS["validation"]
    splits[tenth : 2 * tenth] = SPLITS["test"]
    return np.random.default_rng([seed, count]).permutation(splits)
