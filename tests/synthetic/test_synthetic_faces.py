import numpy as np
import pytest

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.errors import InputError
from keras_faramtn.synthetic.faces import draw_face, draw_faces

# The region of the 178x218 frame where each attribute must be visible: left, top, right, bottom.
WHOLE = (0, 0, 178, 218)
TOP, EYES, LOW = (20, 0, 158, 90), (35, 70, 143, 125), (30, 120, 148, 195)
REGIONS = {
    "5_o_Clock_Shadow": LOW,
    "Arched_Eyebrows": (45, 65, 133, 100),
    "Bags_Under_Eyes": (45, 90, 133, 125),
    "Bald": TOP,
    "Bangs": (45, 50, 133, 95),
    "Big_Lips": (60, 125, 118, 170),
    "Big_Nose": (65, 95, 113, 145),
    "Bushy_Eyebrows": (45, 65, 133, 100),
    "Double_Chin": (30, 130, 148, 195),
    "Eyeglasses": EYES,
    "Goatee": LOW,
    "Heavy_Makeup": EYES,
    "High_Cheekbones": (35, 95, 143, 160),
    "Mouth_Slightly_Open": (60, 125, 118, 170),
    "Mustache": (55, 115, 123, 160),
    "Narrow_Eyes": (50, 80, 128, 115),
    "No_Beard": (30, 75, 148, 195),
    "Pointy_Nose": (65, 85, 113, 145),
    "Receding_Hairline": TOP,
    "Rosy_Cheeks": (35, 100, 143, 145),
    "Sideburns": (35, 75, 143, 150),
    "Smiling": (55, 120, 123, 170),
    "Wearing_Earrings": (25, 105, 153, 150),
    "Wearing_Hat": (0, 0, 178, 95),
    "Wearing_Lipstick": (60, 125, 118, 170),
    "Wearing_Necklace": (30, 165, 148, 218),
    "Wearing_Necktie": (30, 165, 148, 218),
}


MOSTLY_MENS = (
    "5_o_Clock_Shadow",
    "Goatee",
    "Mustache",
    "Sideburns",
    "No_Beard",
    "Bald",
    "Receding_Hairline",
    "Wearing_Necktie",
)


def plain_labels(male: bool) -> dict[str, bool]:
    on = {"Young", "Attractive", "No_Beard", "Straight_Hair"} | ({"Male"} if male else set())
    return {name: name in on for name in CELEBA_ATTRIBUTES}


def without_and_with(name: str, seed: int, size=(218, 178)) -> np.ndarray:
    """The same person without and with the attribute, float `(2, h, w, 3)`."""
    labels = plain_labels(male=name in MOSTLY_MENS)
    if name == "Wavy_Hair":
        labels["Straight_Hair"] = False
    images = [
        draw_face(labels | {name: label}, np.random.default_rng(seed), size)
        for label in (False, True)
    ]
    return np.stack([np.asarray(image, dtype=float) for image in images])


@pytest.mark.parametrize("name", CELEBA_ATTRIBUTES)
@pytest.mark.parametrize("seed", [3, 8])
def test_each_attribute_changes_its_region(name, seed):
    off, on = without_and_with(name, seed)
    change = np.abs(on - off).max(axis=2)
    left, top, right, bottom = REGIONS.get(name, WHOLE)
    # Fifty pixels, about the area of a lip, change by more than a tenth of the range...
    assert (change[top:bottom, left:right] > 25).sum() > 50
    # ... and most of the change is in the region.
    assert change[top:bottom, left:right].sum() > 0.8 * change.sum()


@pytest.mark.parametrize("name", CELEBA_ATTRIBUTES)
def test_each_attribute_is_visible_in_a_small_image(name):
    off, on = without_and_with(name, seed=4, size=(64, 52))
    assert np.abs(on - off).max() > 25


def test_blurry_removes_detail():
    off, on = without_and_with("Blurry", seed=2)

    def detail(image: np.ndarray) -> float:
        return np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()

    assert detail(on) < 0.75 * detail(off)


@pytest.mark.parametrize(
    ("name", "redder", "brighter"),
    [("Black_Hair", False, False), ("Blond_Hair", False, True), ("Gray_Hair", False, True)],
)
def test_hair_has_its_colour(name, redder, brighter):
    off, on = without_and_with(name, seed=6)
    hair = np.abs(on - off).max(axis=2) > 25
    redness = [(image[..., 0] - image[..., 1])[hair].mean() for image in (off, on)]
    assert (redness[1] > redness[0]) == redder
    assert (on[hair].mean() > off[hair].mean()) == brighter


def test_people_with_the_same_labels_differ():
    labels = plain_labels(male=False)
    faces = [np.asarray(draw_face(labels, np.random.default_rng(seed))) for seed in range(6)]
    for one in range(6):
        for other in range(one):
            assert np.abs(faces[one].astype(float) - faces[other]).mean() > 5


@pytest.mark.parametrize("size", [(218, 178), (128, 128), (60, 200), (301, 97), (32, 32)])
def test_any_size_is_drawn(size):
    image = draw_face(plain_labels(male=True), np.random.default_rng(0), size)
    assert image.mode == "RGB"
    assert image.size == (size[1], size[0])


def test_wide_images_are_not_stretched():
    narrow = np.asarray(draw_face(plain_labels(False), np.random.default_rng(1), (218, 178)), float)
    wide = np.asarray(draw_face(plain_labels(False), np.random.default_rng(1), (218, 278)), float)
    # Light and background extend over the wider frame; the face keeps its position and shape.
    face = (slice(60, 170), slice(60, 118))
    assert np.abs(narrow[face] - wide[:, 50:228][face]).mean() < 8


@pytest.mark.parametrize("change", [{"Bald_Spot": True}, {"Young": None}])
def test_labels_must_be_exactly_the_40_attributes(change):
    labels = plain_labels(male=False)
    name, value = next(iter(change.items()))
    if value is None:
        del labels[name]
    else:
        labels[name] = value
    with pytest.raises(InputError, match=name):
        draw_face(labels, np.random.default_rng(0))


def test_more_faces_begin_with_the_same_faces():
    faces = draw_faces(3, (40, 56), seed=2)
    assert faces.shape == (3, 40, 56, 3)
    assert faces.dtype == np.uint8
    np.testing.assert_array_equal(draw_faces(2, (40, 56), seed=2), faces[:2])
