import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.synthetic import dataset as synthetic
from keras_faramtn.synthetic.dataset import RATES, draw_face, draw_faces, draw_labels, synthesize

KINDS_OF_BEARD = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
MANY = 4000


@pytest.fixture(scope="module")
def people() -> dict[str, np.ndarray]:
    labels = draw_labels(MANY, np.random.default_rng(5))
    assert labels.shape == (MANY, 40)
    assert labels.dtype == bool
    return {name: labels[:, column] for column, name in enumerate(CELEBA_ATTRIBUTES)}


def test_the_table_of_rates_has_each_attribute_once():
    assert tuple(RATES) == CELEBA_ATTRIBUTES
    assert all(0 < rate < 1 for rate in RATES.values())


@pytest.mark.parametrize("name", CELEBA_ATTRIBUTES)
def test_rates_are_those_of_celeba(people, name):
    rate = RATES[name]
    deviation = np.sqrt(rate * (1 - rate) / MANY)
    # Four standard deviations, and half a point for what the exclusions shift.
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
    ("name", "share"),
    [
        ("Wearing_Lipstick", 0.02),
        ("Rosy_Cheeks", 0.05),
        ("Arched_Eyebrows", 0.15),
        ("Wearing_Earrings", 0.08),
        ("Wearing_Necklace", 0.12),
    ],
)
def test_few_men_wear_what_is_mostly_womens(people, name, share):
    assert people["Male"][people[name]].mean() < share


@pytest.mark.parametrize(
    ("name", "share"), [("Bald", 0.9), ("Receding_Hairline", 0.75), ("Chubby", 0.75)]
)
def test_mostly_men_are_bald(people, name, share):
    assert people["Male"][people[name]].mean() > share


def test_at_most_one_colour_and_one_form_of_hair(people):
    assert max(sum(people[name].astype(int) for name in HAIR_COLOURS)) == 1
    assert not (people["Straight_Hair"] & people["Wavy_Hair"]).any()


@pytest.mark.parametrize(
    "name",
    [*HAIR_COLOURS, "Bangs", "Straight_Hair", "Wavy_Hair", "Receding_Hairline", "Wearing_Hat"],
)
def test_nothing_of_hair_on_bald_heads(people, name):
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
def test_what_comes_together(people, name, given, least):
    there, elsewhere = people[name][people[given]].mean(), people[name][~people[given]].mean()
    assert there > least
    assert there > 1.5 * elsewhere


def test_gray_hair_is_rarely_young(people):
    assert people["Young"][people["Gray_Hair"]].mean() < 0.25


@pytest.mark.parametrize("man", [False, True])
def test_no_probability_leaves_its_range(man):
    # Each chance is deduced from the rates; one out of 0..1 would be cut without a word.
    for name in synthetic._RULES:
        for chance in synthetic._chances(name, man):
            assert -1e-4 <= chance <= 1 + 1e-4, name


# Where in the 178x218 frame each attribute must show: left, top, right, bottom.
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


def plain_labels(male: bool) -> dict[str, bool]:
    on = {"Young", "Attractive", "No_Beard", "Straight_Hair"} | ({"Male"} if male else set())
    return {name: name in on for name in CELEBA_ATTRIBUTES}


def without_and_with(name: str, seed: int, size=(218, 178)) -> np.ndarray:
    """The same person twice, float `(2, h, w, 3)`."""
    men = (*KINDS_OF_BEARD, "No_Beard", "Bald", "Receding_Hairline", "Wearing_Necktie")
    labels = plain_labels(male=name in men)
    if name == "Wavy_Hair":
        labels["Straight_Hair"] = False
    images = [
        draw_face(labels | {name: label}, np.random.default_rng(seed), size)
        for label in (False, True)
    ]
    return np.stack([np.asarray(image, dtype=float) for image in images])


@pytest.mark.parametrize("name", CELEBA_ATTRIBUTES)
@pytest.mark.parametrize("seed", [3, 8])
def test_each_attribute_alone_shows_where_it_belongs(name, seed):
    off, on = without_and_with(name, seed)
    change = np.abs(on - off).max(axis=2)
    left, top, right, bottom = REGIONS.get(name, WHOLE)
    # Fifty pixels change by more than a tenth of the range: a lip's worth in the smallest face...
    assert (change[top:bottom, left:right] > 25).sum() > 50
    # ... and most of what changes lies where the attribute belongs.
    assert change[top:bottom, left:right].sum() > 0.8 * change.sum()


@pytest.mark.parametrize("name", CELEBA_ATTRIBUTES)
def test_each_attribute_shows_in_a_small_image(name):
    off, on = without_and_with(name, seed=4, size=(64, 52))
    assert np.abs(on - off).max() > 25


def test_blurry_takes_the_detail():
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


def test_people_differ_whatever_the_labels():
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
    # The light and the background spread over the wider frame; the face keeps place and form.
    face = (slice(60, 170), slice(60, 118))
    assert np.abs(narrow[face] - wide[:, 50:228][face]).mean() < 8


@pytest.mark.parametrize("change", [{"Bald_Spot": True}, {"Young": None}])
def test_labels_must_be_the_forty(change):
    labels = plain_labels(male=False)
    name, value = next(iter(change.items()))
    if value is None:
        del labels[name]
    else:
        labels[name] = value
    with pytest.raises(InputError, match=name):
        draw_face(labels, np.random.default_rng(0))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "faces"
    assert synthesize(folder, 40, image_size=(64, 48), seed=7, progress=False) == folder
    return folder


def test_layout_is_celebas(written):
    names = [f"{number:06}.jpg" for number in range(1, 41)]
    images = sorted((written / "Img" / "img_align_celeba").iterdir())
    assert [path.name for path in images] == names
    for path in images:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (48, 64))

    lines = (written / "Anno" / "list_attr_celeba.txt").read_text().splitlines()
    assert lines[0] == "40"
    assert lines[1].split() == list(CELEBA_ATTRIBUTES)
    rows = [line.split() for line in lines[2:]]
    assert [row[0] for row in rows] == names
    assert all(len(row) == 41 and set(row[1:]) == {"1", "-1"} for row in rows)

    splits = [
        line.split()
        for line in (written / "Eval" / "list_eval_partition.txt").read_text().splitlines()
    ]
    assert [row[0] for row in splits] == names
    numbers = [row[1] for row in splits]
    assert [numbers.count(split) for split in "012"] == [32, 4, 4]
    assert numbers != sorted(numbers)


def test_labels_in_the_file_are_those_of_the_images(written):
    table, problems = read_celeba(written)
    assert problems == []
    for row in (0, 17, 39):
        rng = np.random.default_rng([7, row])
        labels = draw_labels(1, rng)[0]
        np.testing.assert_array_equal(table.labels[row], labels)
        face = draw_face(dict(zip(CELEBA_ATTRIBUTES, labels, strict=True)), rng, (64, 48))
        with Image.open(table.paths[row]) as image:
            difference = np.abs(np.asarray(image, float) - np.asarray(face, float))
        assert difference.mean() < 8  # JPEG's loss


def test_same_seed_same_files_in_another_process(written, tmp_path):
    call = "import sys; from keras_faramtn.synthetic.dataset import synthesize; "
    call += "synthesize(sys.argv[1], 40, image_size=(64, 48), seed=7, progress=False)"
    subprocess.run([sys.executable, "-c", call, str(tmp_path / "again")], check=True)
    assert contents(tmp_path / "again") == contents(written)


def test_another_seed_gives_other_faces(written, tmp_path):
    other = contents(synthesize(tmp_path / "o", 40, image_size=(64, 48), seed=8, progress=False))
    same = [name for name, data in contents(written).items() if data == other[name]]
    assert same == []


def test_a_row_depends_on_seed_and_row_alone(written, tmp_path):
    few = synthesize(tmp_path / "few", 5, image_size=(64, 48), seed=7, progress=False)
    for path in (few / "Img" / "img_align_celeba").iterdir():
        longer = written / "Img" / "img_align_celeba" / path.name
        assert path.read_bytes() == longer.read_bytes()


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 0, 0]), (3, [1, 1, 1]), (25, [21, 2, 2])])
def test_parts_of_small_data_sets(tmp_path, count, sizes):
    folder = synthesize(tmp_path / "f", count, image_size=(32, 32), progress=False)
    table, _ = read_celeba(folder)
    assert [(table.splits == split).sum() for split in (0, 1, 2)] == sizes


def test_draw_faces_are_those_that_are_written():
    faces = draw_faces(3, (40, 56), seed=2)
    assert faces.shape == (3, 40, 56, 3)
    assert faces.dtype == np.uint8
    np.testing.assert_array_equal(draw_faces(2, (40, 56), seed=2), faces[:2])


def test_an_empty_folder_is_used(tmp_path):
    folder = tmp_path / "deep" / "empty"
    folder.mkdir(parents=True)
    synthesize(folder, 2, image_size=(32, 40), progress=False)
    assert len(read_celeba(folder)[0]) == 2
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"keep": True}))
    with pytest.raises(InputError, match="exists already"):
        synthesize(tmp_path, 2, progress=False)
    with pytest.raises(InputError, match="exists already"):
        synthesize(tmp_path / "mine.json", 2, progress=False)
    with pytest.raises(InputError, match="can't be made"):
        synthesize(tmp_path / "mine.json" / "below" / "it", 2, progress=False)
    assert contents(tmp_path) == {"mine.json": b'{"keep": true}'}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": -5}, "count is -5"),
        ({"image_size": (8, 178)}, r"\(8, 178\)"),
        ({"image_size": (218, 5000)}, "1024"),
        ({"image_size": (218, 178, 3)}, "height and width"),
        ({"image_size": (64.5, 64)}, "pixels"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_values_are_refused(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        synthesize(tmp_path / "f", **({"count": 2, "progress": False} | wrong))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("exists", [True, False])
def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, interruption, exists):
    folder = tmp_path / "faces"
    if exists:
        folder.mkdir()
    paint, drawn = synthetic.paint, []

    def interrupted(*arguments):
        drawn.append(arguments)
        if len(drawn) == 4:
            raise interruption
        return paint(*arguments)

    monkeypatch.setattr(synthetic, "paint", interrupted)
    with pytest.raises(interruption):
        synthesize(folder, 9, image_size=(32, 32), progress=False)
    assert list(tmp_path.rglob("*")) == ([folder] if exists else [])


def test_progress_is_shown_on_request(tmp_path, capsys):
    synthesize(tmp_path / "loud", 3, image_size=(32, 32))
    assert "3/3" in capsys.readouterr().err
    synthesize(tmp_path / "quiet", 3, image_size=(32, 32), progress=False)
    assert capsys.readouterr().err == ""
