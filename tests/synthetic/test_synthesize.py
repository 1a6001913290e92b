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
from keras_faramtn.synthetic import faces
from keras_faramtn.synthetic.dataset import synthesize
from keras_faramtn.synthetic.faces import draw_face, draw_faces
from keras_faramtn.synthetic.labels import draw_labels


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


def test_the_layout_is_the_official_one(written):
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
    table = read_celeba(written)
    assert table.problems == ()
    for row in (0, 17, 39):
        rng = np.random.default_rng([7, row])
        labels = draw_labels(1, rng)[0]
        np.testing.assert_array_equal(table.labels[row], labels)
        face = draw_face(dict(zip(CELEBA_ATTRIBUTES, labels, strict=True)), rng, (64, 48))
        with Image.open(table.paths[row]) as image:
            difference = np.abs(np.asarray(image, float) - np.asarray(face, float))
        assert difference.mean() < 8  # the loss of JPEG
    written_faces = [np.asarray(Image.open(path), float) for path in table.paths[:2]]
    assert np.abs(draw_faces(2, (64, 48), seed=7) - written_faces).mean() < 8


def test_the_same_seed_gives_the_same_files_in_another_process(written, tmp_path):
    call = "import sys; from keras_faramtn.synthetic.dataset import synthesize; "
    call += "synthesize(sys.argv[1], 40, image_size=(64, 48), seed=7, progress=False)"
    subprocess.run([sys.executable, "-c", call, str(tmp_path / "again")], check=True)
    assert contents(tmp_path / "again") == contents(written)


def test_another_seed_gives_different_faces(written, tmp_path):
    other = contents(synthesize(tmp_path / "o", 40, image_size=(64, 48), seed=8, progress=False))
    same = [name for name, data in contents(written).items() if data == other[name]]
    assert same == []


def test_a_larger_data_set_begins_with_the_same_images(written, tmp_path):
    few = synthesize(tmp_path / "few", 5, image_size=(64, 48), seed=7, progress=False)
    for path in (few / "Img" / "img_align_celeba").iterdir():
        longer = written / "Img" / "img_align_celeba" / path.name
        assert path.read_bytes() == longer.read_bytes()


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 0, 0]), (3, [1, 1, 1]), (25, [21, 2, 2])])
def test_splits_of_small_data_sets(tmp_path, count, sizes):
    folder = synthesize(tmp_path / "f", count, image_size=(32, 32), progress=False)
    table = read_celeba(folder)
    assert [(table.splits == split).sum() for split in (0, 1, 2)] == sizes


def test_an_empty_folder_is_used(tmp_path):
    folder = tmp_path / "deep" / "empty"
    folder.mkdir(parents=True)
    synthesize(folder, 2, image_size=(32, 40), progress=False)
    assert len(read_celeba(folder)) == 2
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_with_content_is_refused_and_kept(tmp_path):
    (tmp_path / "kept.json").write_text(json.dumps({"keep": True}))
    with pytest.raises(InputError, match="already exists"):
        synthesize(tmp_path, 2, progress=False)
    with pytest.raises(InputError, match="already exists"):
        synthesize(tmp_path / "kept.json", 2, progress=False)
    with pytest.raises(InputError, match="can't be created"):
        synthesize(tmp_path / "kept.json" / "below" / "it", 2, progress=False)
    assert contents(tmp_path) == {"kept.json": b'{"keep": true}'}


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
def test_invalid_values_are_refused(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        synthesize(tmp_path / "f", **({"count": 2, "progress": False} | wrong))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("exists", [True, False])
def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, interruption, exists):
    folder = tmp_path / "faces"
    if exists:
        folder.mkdir()
    paint, drawn = faces.paint, []

    def interrupted(*arguments):
        drawn.append(arguments)
        if len(drawn) == 4:
            raise interruption
        return paint(*arguments)

    monkeypatch.setattr(faces, "paint", interrupted)
    with pytest.raises(interruption):
        synthesize(folder, 9, image_size=(32, 32), progress=False)
    assert list(tmp_path.rglob("*")) == ([folder] if exists else [])


def test_progress_is_shown_on_request_on_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    synthesize(tmp_path / "loud", 3, image_size=(32, 32))
    assert "3/3" in capsys.readouterr().err
    synthesize(tmp_path / "quiet", 3, image_size=(32, 32), progress=False)
    assert capsys.readouterr().err == ""
