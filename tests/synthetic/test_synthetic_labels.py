import numpy as np
import pytest

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.synthetic import labels as synthetic_labels
from keras_faramtn.synthetic.labels import RATES, draw_labels

KINDS_OF_BEARD = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
MANY = 4000


@pytest.fixture(scope="module")
def people() -> dict[str, np.ndarray]:
    labels = draw_labels(MANY, np.random.default_rng(5))
    assert labels.shape == (MANY, 40)
    assert labels.dtype == bool
    return {name: labels[:, column] for column, name in enumerate(CELEBA_ATTRIBUTES)}


def test_there_is_a_rate_for_each_attribute():
    assert tuple(RATES) == CELEBA_ATTRIBUTES
    assert all(0 < rate < 1 for rate in RATES.values())


@pytest.mark.parametrize("name", CELEBA_ATTRIBUTES)
def test_labels_have_the_rates_of_celeba(people, name):
    rate = RATES[name]
    deviation = np.sqrt(rate * (1 - rate) / MANY)
    # Four standard deviations, and half a point for the effect of the exclusions.
    assert abs(people[name].mean() - rate) < 4 * deviation + 0.005


@pytest.mark.parametrize("name", [*KINDS_OF_BEARD, "Wearing_Necktie"])
def test_only_men_have_beards_and_neckties(people, name):
    assert people[name].any()
    assert not people[name][~people["Male"]].any()


def test_every_woman_has_no_beard(people):
    assert people["No_Beard"][~people["Male"]].all()
    assert not people["No_Beard"][people["Male"]].all()


def test_no_beard_excludes_every_kind_of_beard(people):
    for name in KINDS_OF_BEARD:
        assert not (people[name] & people["No_Beard"]).any()


def test_no_man_wears_heavy_makeup(people):
    assert not (people["Heavy_Makeup"] & people["Male"]).any()


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("Wearing_Lipstick", 0.02),
        ("Rosy_Cheeks", 0.05),
        ("Arched_Eyebrows", 0.15),
        ("Wearing_Earrings", 0.08),
        ("Wearing_Necklace", 0.12),
    ],
)
def test_few_men_have_attributes_that_mostly_women_have(people, name, limit):
    assert people["Male"][people[name]].mean() < limit


@pytest.mark.parametrize(
    ("name", "limit"), [("Bald", 0.9), ("Receding_Hairline", 0.75), ("Chubby", 0.75)]
)
def test_attributes_that_mostly_men_have(people, name, limit):
    assert people["Male"][people[name]].mean() > limit


def test_at_most_one_colour_and_one_form_of_hair(people):
    assert max(sum(people[name].astype(int) for name in HAIR_COLOURS)) == 1
    assert not (people["Straight_Hair"] & people["Wavy_Hair"]).any()


@pytest.mark.parametrize(
    "name",
    [*HAIR_COLOURS, "Bangs", "Straight_Hair", "Wavy_Hair", "Receding_Hairline", "Wearing_Hat"],
)
def test_bald_excludes_attributes_of_hair(people, name):
    assert people["Bald"].any()
    assert not (people[name] & people["Bald"]).any()


@pytest.mark.parametrize(
    ("name", "given", "least"),
    [
        ("Wearing_Lipstick", "Heavy_Makeup", 0.95),
        ("Smiling", "High_Cheekbones", 0.8),
        ("Mouth_Slightly_Open", "Smiling", 0.7),
        ("Double_Chin", "Chubby", 0.35),
    ],
)
def test_attributes_that_often_occur_together(people, name, given, least):
    with_given = people[name][people[given]].mean()
    without_given = people[name][~people[given]].mean()
    assert with_given > least
    assert with_given > 1.5 * without_given


def test_few_people_with_gray_hair_are_young(people):
    assert people["Young"][people["Gray_Hair"]].mean() < 0.25


@pytest.mark.parametrize("man", [False, True])
def test_all_probabilities_are_in_range(man):
    # The probabilities are derived from the rates; one outside 0..1 would be clipped silently.
    for name in synthetic_labels._RULES:
        for probability in synthetic_labels._probabilities(name, man):
            assert -1e-4 <= probability <= 1 + 1e-4, name
