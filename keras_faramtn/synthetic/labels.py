"""Labels of synthetic people: how often attributes occur in CelebA, and which occur together."""

import functools
from dataclasses import dataclass

import numpy as np

from keras_faramtn.attributes import CELEBA_ATTRIBUTES

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
"""The fraction of images with each attribute in CelebA's training split (Liu et al., ICCV 2015),
counted from `list_attr_celeba.txt` and `list_eval_partition.txt`."""

_BEARD = "Beard"  # used only while labels are drawn: the opposite of No_Beard


@dataclass(frozen=True)
class _Rule:
    """How an attribute depends on those before it in `_RULES`. Its overall rate is unchanged.

    Attributes:
        men: the fraction of men among the people with the attribute.
        given: an attribute that makes it more or less likely, for men and for women.
        rate: its rate among the people with `given`; None if it occurs only with `given`.
        never_with: attributes that exclude it, and that exclude each other.
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
    # Makeup and jewellery
    "Heavy_Makeup": _Rule(men=0.0),
    "Wearing_Lipstick": _Rule(men=0.004, given="Heavy_Makeup", rate=0.98),
    "Rosy_Cheeks": _Rule(men=0.01, given="Heavy_Makeup", rate=0.15),
    "Arched_Eyebrows": _Rule(men=0.08, given="Heavy_Makeup", rate=0.52),
    "Wearing_Earrings": _Rule(men=0.03, given="Heavy_Makeup", rate=0.37),
    "Wearing_Necklace": _Rule(men=0.05, given="Heavy_Makeup", rate=0.24),
    "Wearing_Necktie": _Rule(men=1.0),
    # Hair. A hat hides a bald head
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
"""In the order of drawing. The numbers are plausible round values, not counts."""


def draw_labels(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws labels of `count` people, with the attributes as frequent as in CelebA (`RATES`).

    These dependencies hold for everyone: only men have a beard of any kind, and a beard excludes
    No_Beard; only women have Heavy_Makeup, only men Wearing_Necktie; there is at most one hair
    colour, and at most one of Straight_Hair and Wavy_Hair; Bald excludes hair colours, Bangs,
    Straight_Hair, Wavy_Hair, Receding_Hairline and Wearing_Hat; Receding_Hairline excludes Bangs
    and Wearing_Hat; Chubby excludes Oval_Face. Other dependencies in `_RULES` are probabilities.

    Args:
        count: the number of people.
        rng: the source of randomness.

    Returns:
        bool `(count, 40)`; the columns are `CELEBA_ATTRIBUTES`.

    Example:
        >>> labels = draw_labels(1000, np.random.default_rng(0))
        >>> labels.shape
        (1000, 40)
        >>> abs(labels[:, CELEBA_ATTRIBUTES.index("Smiling")].mean() - RATES["Smiling"]) < 0.05
        np.True_
    """
    men = rng.random(count) < RATES["Male"]
    drawn = {"Male": men}
    for name, rule in _RULES.items():
        (man_with, man_without), (woman_with, woman_without) = (
            _probabilities(name, man) for man in (True, False)
        )
        probability = np.where(men, man_without, woman_without)
        if rule.given:
            probability = np.where(
                drawn[rule.given], np.where(men, man_with, woman_with), probability
            )
        has = rng.random(count) < probability
        for other in rule.never_with:
            has &= ~drawn[other]
        drawn[name] = has
    drawn["No_Beard"] = ~drawn[_BEARD]
    return np.stack([drawn[name] for name in CELEBA_ATTRIBUTES], axis=1)


def _rate(name: str, man: bool) -> float:
    """The rate of the attribute among men, or among women."""
    rate = 1 - RATES["No_Beard"] if name == _BEARD else RATES[name]
    men = _RULES[name].men
    return rate * men / RATES["Male"] if man else rate * (1 - men) / (1 - RATES["Male"])


@functools.cache
def _probabilities(name: str, man: bool) -> tuple[float, float]:
    """The probability of the attribute for a man or a woman, with the rule's `given` and without.

    Both apply to people without the attributes in `never_with`, and keep the overall rate.
    """
    rule = _RULES[name]
    rate = _rate(name, man) / (1 - sum(_rate(other, man) for other in rule.never_with))
    given_rate = _rate(rule.given, man) if rule.given else 0.0
    if not given_rate:
        return rate, 0.0 if rule.given and rule.rate is None else rate
    with_given = rate / given_rate if rule.rate is None else min(rule.rate, rate / given_rate)
    return with_given, (rate - with_given * given_rate) / (1 - given_rate)
