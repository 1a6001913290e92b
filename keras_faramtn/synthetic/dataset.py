"""Synthetic faces with CelebA's 40 attributes, in CelebA's layout: a data set for everyone.

`drawing.image` says what each attribute looks like; here is which attributes come together, and
how a data set of such faces is written.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder
from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.celeba import LAYOUTS
from keras_faramtn.data.table import SPLITS
from keras_faramtn.errors import InputError
from keras_faramtn.synthetic.drawing.portrait import FRAME, paint

SMALLEST, LARGEST = 32, 1024
"""Limits of an image's height and width in pixels."""

RATES: dict[str, float] = {
    "5_o_Clock_Shadow": 0.11167,
    "Arched_Eyebrows": 0.26588,
    "Attractive": 0.51363,
    "Bags_Under_Eyes": 0.20446,
    "Bald": 0.02281,
    "Bangs": 0.15166,
    "Big_Lips": 0.24091,
    "Big_Nose": 0.23555,
    "Black_Hair": 0.23902,
    "Blond_Hair": 0.14909,
    "Blurry": 0.05137,
    "Brown_Hair": 0.20392,
    "Bushy_Eyebrows": 0.14368,
    "Chubby": 0.05768,
    "Double_Chin": 0.04651,
    "Eyeglasses": 0.06464,
    "Goatee": 0.06351,
    "Gray_Hair": 0.04237,
    "Heavy_Makeup": 0.38432,
    "High_Cheekbones": 0.45245,
    "Male": 0.41937,
    "Mouth_Slightly_Open": 0.48219,
    "Mustache": 0.04081,
    "Narrow_Eyes": 0.11592,
    "No_Beard": 0.83418,
    "Oval_Face": 0.28323,
    "Pale_Skin": 0.04304,
    "Pointy_Nose": 0.27552,
    "Receding_Hairline": 0.08011,
    "Rosy_Cheeks": 0.06466,
    "Sideburns": 0.05625,
    "Smiling": 0.47970,
    "Straight_Hair": 0.20856,
    "Wavy_Hair": 0.31936,
    "Wearing_Earrings": 0.18653,
    "Wearing_Hat": 0.04939,
    "Wearing_Lipstick": 0.46960,
    "Wearing_Necklace": 0.12142,
    "Wearing_Necktie": 0.07305,
    "Young": 0.77894,
}
"""Share of images with each attribute in CelebA's training split (Liu et al., ICCV 2015), counted
from `list_attr_celeba.txt` and `list_eval_partition.txt`."""

_BEARD = "Beard"  # helps to draw the labels: the opposite of No_Beard, which women all have


@dataclass(frozen=True)
class _Rule:
    """How an attribute hangs together with those above it in `_RULES`. Its rate stays as it is.

    Attributes:
        men: share of men among the people who have it.
        given: an attribute that makes it likelier or rarer, within each sex.
        rate: how often it comes with `given`; None if it comes with nothing else.
        never_with: attributes that exclude it. They must exclude each other.
    """

    men: float = RATES["Male"]
    given: str | None = None
    rate: float | None = None
    never_with: tuple[str, ...] = ()


_RULES: dict[str, _Rule] = {
    "Young": _Rule(men=0.355),
    "Attractive": _Rule(men=0.29, given="Young", rate=0.58),
    "Blurry": _Rule(),
    "Pale_Skin": _Rule(men=0.25),
    "Chubby": _Rule(men=0.88),
    "Double_Chin": _Rule(men=0.88, given="Chubby", rate=0.5),
    "Oval_Face": _Rule(men=0.31, never_with=("Chubby",)),
    # Beards
    _BEARD: _Rule(men=1.0),
    "5_o_Clock_Shadow": _Rule(men=1.0, given=_BEARD),
    "Goatee": _Rule(men=1.0, given=_BEARD),
    "Mustache": _Rule(men=1.0, given=_BEARD),
    "Sideburns": _Rule(men=1.0, given=_BEARD),
    # Make-up and jewellery
    "Heavy_Makeup": _Rule(men=0.0),
    "Wearing_Lipstick": _Rule(men=0.004, given="Heavy_Makeup", rate=0.98),
    "Rosy_Cheeks": _Rule(men=0.01, given="Heavy_Makeup", rate=0.15),
    "Arched_Eyebrows": _Rule(men=0.08, given="Heavy_Makeup", rate=0.52),
    "Wearing_Earrings": _Rule(men=0.03, given="Heavy_Makeup", rate=0.37),
    "Wearing_Necklace": _Rule(men=0.05, given="Heavy_Makeup", rate=0.24),
    "Wearing_Necktie": _Rule(men=1.0),
    # The hair: a hat hides whether there is any at the top
    "Bald": _Rule(men=0.99, given="Young", rate=0.02),
    "Wearing_Hat": _Rule(men=0.65, never_with=("Bald",)),
    "Receding_Hairline": _Rule(
        men=0.85, given="Young", rate=0.1, never_with=("Bald", "Wearing_Hat")
    ),
    "Bangs": _Rule(men=0.23, never_with=("Bald", "Receding_Hairline")),
    "Gray_Hair": _Rule(men=0.85, given="Young", rate=0.004, never_with=("Bald",)),
    "Black_Hair": _Rule(men=0.52, never_with=("Bald", "Gray_Hair")),
    "Blond_Hair": _Rule(men=0.06, never_with=("Bald", "Gray_Hair", "Black_Hair")),
    "Brown_Hair": _Rule(men=0.31, never_with=("Bald", "Gray_Hair", "Black_Hair", "Blond_Hair")),
    "Straight_Hair": _Rule(men=0.48, never_with=("Bald",)),
    "Wavy_Hair": _Rule(men=0.18, never_with=("Bald", "Straight_Hair")),
    # Eyes, nose, mouth
    "Bags_Under_Eyes": _Rule(men=0.71),
    "Bushy_Eyebrows": _Rule(men=0.72),
    "Eyeglasses": _Rule(men=0.8),
    "Narrow_Eyes": _Rule(men=0.45),
    "Big_Nose": _Rule(men=0.75),
    "Pointy_Nose": _Rule(men=0.25),
    "Big_Lips": _Rule(men=0.27),
    "High_Cheekbones": _Rule(men=0.28),
    "Smiling": _Rule(men=0.345, given="High_Cheekbones", rate=0.85),
    "Mouth_Slightly_Open": _Rule(men=0.37, given="Smiling", rate=0.75),
}
"""The shares are round numbers chosen to be lifelike, not counts; in the order of drawing."""


def draw_labels(count: int, rng: np.random.Generator) -> np.ndarray:
    """Labels of `count` people at random, as in CelebA.

    The rates are those of `RATES`. Of the dependencies these hold for everyone: the kinds of beard
    are men's, and each excludes No_Beard; Heavy_Makeup is women's, Wearing_Necktie men's; at most
    one hair colour, and of Straight_Hair and Wavy_Hair; no hair colour, Bangs, Straight_Hair,
    Wavy_Hair, Receding_Hairline or Wearing_Hat with Bald; no Receding_Hairline with Bangs or
    Wearing_Hat; no Oval_Face with Chubby. Others hold for most, see `_RULES`.

    Returns:
        bool `(count, 40)`, columns as `CELEBA_ATTRIBUTES`.
    """
    men = rng.random(count) < RATES["Male"]
    drawn = {"Male": men}
    for name, rule in _RULES.items():
        (man_with, man_else), (woman_with, woman_else) = _chances(name, True), _chances(name, False)
        chance = np.where(men, man_else, woman_else)
        if rule.given:
            chance = np.where(drawn[rule.given], np.where(men, man_with, woman_with), chance)
        has = rng.random(count) < chance
        for other in rule.never_with:
            has &= ~drawn[other]
        drawn[name] = has
    drawn["No_Beard"] = ~drawn[_BEARD]
    return np.stack([drawn[name] for name in CELEBA_ATTRIBUTES], axis=1)


def _rate(name: str, man: bool) -> float:
    """Share of the men, or of the women, who have the attribute."""
    rate = 1 - RATES["No_Beard"] if name == _BEARD else RATES[name]
    men = _RULES[name].men
    return rate * men / RATES["Male"] if man else rate * (1 - men) / (1 - RATES["Male"])


@functools.cache
def _chances(name: str, man: bool) -> tuple[float, float]:
    """How likely the attribute is for a man, or a woman, with the rule's `given` and without it.

    Both are for people without what `never_with` names: the two together keep the rate.
    """
    rule = _RULES[name]
    rate = _rate(name, man) / (1 - sum(_rate(other, man) for other in rule.never_with))
    share = _rate(rule.given, man) if rule.given else 0.0
    if not share:
        return rate, 0.0 if rule.given and rule.rate is None else rate
    with_it = rate / share if rule.rate is None else min(rule.rate, rate / share)
    return with_it, (rate - with_it * share) / (1 - share)


def draw_face(
    labels: Mapping[str, bool],
    rng: np.random.Generator,
    image_size: tuple[int, int] = FRAME,
) -> Image.Image:
    """A face that shows the attributes; what each looks like is in `drawing.image`.

    Args:
        labels: whether each of the 40 attributes is on.
        rng: decides on the person and the photograph: the same state with another label gives the
            same person with that change.
        image_size: height and width in pixels, 32 to 1024.

    Returns:
        An RGB image of that size, framed as CelebA's aligned images.

    Raises:
        InputError: an attribute is unknown or missing, or the size is out of range.
    """
    wrong = sorted(set(labels) ^ set(CELEBA_ATTRIBUTES))
    if wrong:
        raise InputError(
            f"labels must have each of CelebA's 40 attributes and no other; unknown or missing: "
            f"{', '.join(wrong)}."
        )
    _refuse_size(image_size)
    return paint(labels, rng, image_size)


def draw_faces(count: int, image_size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """`count` faces at random: uint8 `(count, height, width, 3)`, RGB, as `synthesize` draws them.

    Raises:
        InputError: the count is less than 1, or the size is out of range.
    """
    _refuse_count(count)
    _refuse_size(image_size)
    return np.stack([np.asarray(_face(seed, row, image_size)[1]) for row in range(count)])


def synthesize(
    folder: str | Path,
    count: int,
    *,
    image_size: tuple[int, int] = FRAME,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Writes a data set of synthetic faces in CelebA's official layout.

    `Img/img_align_celeba/000001.jpg` and so on; `Anno/list_attr_celeba.txt` with the count, the
    names, and a row of 1 or -1 for each image; `Eval/list_eval_partition.txt` with 0 (train, 80
    of 100), 1 (validation, 10) or 2 (test, 10) for each. Image and labels of a row depend on the
    seed and the row alone, so that a larger data set begins with a smaller one; the splits are
    dealt anew for each count.

    The folder appears when it is complete; an interrupted run leaves nothing.

    Args:
        folder: the new folder; it may exist if it is empty.
        count: how many faces.
        image_size: height and width in pixels, 32 to 1024.
        seed: from 0; another seed gives other faces.
        progress: show a bar on stderr.

    Returns:
        The folder.

    Raises:
        InputError: the folder is in use or can't be made, the count is less than 1, the size out of
            range, or the seed negative.
    """
    folder = Path(folder)
    _refuse_count(count)
    _refuse_size(image_size)
    if seed < 0:
        raise InputError(f"the seed is {seed}; give 0 or more.")
    with atomic_folder(folder) as unfinished:
        _write(unfinished, count, image_size, seed, progress)
    return folder


def _write(folder: Path, count: int, size: tuple[int, int], seed: int, progress: bool) -> None:
    layout = LAYOUTS["official"]
    images = folder / layout.images[0]
    for place in (images, (folder / layout.labels).parent, (folder / layout.splits).parent):
        place.mkdir(parents=True)
    names = [f"{row + 1:06}.jpg" for row in range(count)]
    rows = []
    for row, name in enumerate(tqdm(names, desc="Faces", unit="face", disable=not progress)):
        labels, image = _face(seed, row, size)
        image.save(images / name, quality=92)
        rows.append(f"{name} " + " ".join(" 1" if label else "-1" for label in labels))
    header = [str(count), " ".join(CELEBA_ATTRIBUTES)]
    (folder / layout.labels).write_text("\n".join([*header, *rows]) + "\n")
    splits = zip(names, _splits(count, seed), strict=True)
    (folder / layout.splits).write_text("".join(f"{name} {split}\n" for name, split in splits))


def _face(seed: int, row: int, size: tuple[int, int]) -> tuple[np.ndarray, Image.Image]:
    """Labels, bool `(40,)`, and image of one row."""
    rng = np.random.default_rng([seed, row])
    labels = draw_labels(1, rng)[0]
    return labels, paint(dict(zip(CELEBA_ATTRIBUTES, labels.tolist(), strict=True)), rng, size)


def _splits(count: int, seed: int) -> np.ndarray:
    """The split of each row, `(count,)`. From 3 rows on each split has one."""
    tenth = max(round(count / 10), 1 if count >= 3 else 0)
    splits = np.full(count, SPLITS["train"])
    splits[:tenth] = SPLITS["validation"]
    splits[tenth : 2 * tenth] = SPLITS["test"]
    return np.random.default_rng([seed, count]).permutation(splits)


def _refuse_count(count: int) -> None:
    if count < 1:
        raise InputError(f"the count is {count}; draw at least 1 face.")


def _refuse_size(image_size: tuple[int, int]) -> None:
    if len(image_size) != 2 or not all(
        isinstance(side, Integral) and SMALLEST <= side <= LARGEST for side in image_size
    ):
        raise InputError(
            f"the image size is {image_size}; give height and width from {SMALLEST} to {LARGEST} "
            "pixels."
        )
