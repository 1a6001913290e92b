import os
from pathlib import Path

import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.scoring.shards import fingerprint, list_shards, refuse_output_in_inputs


@pytest.fixture
def folder(tmp_path):
    for name in (
        *(f"photos/{number}.jpg" for number in range(7)),
        "photos/more/7.PNG",
        "photos/._0.jpg",
        "shards/faces-00000.tar",
        "shards/faces-00001.tar.gz",
        "shards/faces.tfrecord-00000-of-00002",
        "shards/faces.TFRecords",
        "shards/faces.parquet",
        "shards/index.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def _names(shards):
    return [(shard.kind, [file.name for file in shard.files]) for shard in shards]


def test_image_files_are_divided_and_each_other_file_is_a_shard(folder):
    shards = list_shards([folder], images_per_shard=3)
    assert [shard.number for shard in shards] == list(range(8))
    assert _names(shards) == [
        ("images", ["0.jpg", "1.jpg", "2.jpg"]),
        ("images", ["3.jpg", "4.jpg", "5.jpg"]),
        ("images", ["6.jpg", "7.PNG"]),
        ("tar", ["faces-00000.tar"]),
        ("tar", ["faces-00001.tar.gz"]),
        ("TFRecord", ["faces.TFRecords"]),
        ("Parquet", ["faces.parquet"]),
        ("TFRecord", ["faces.tfrecord-00000-of-00002"]),
    ]


def test_patterns_and_relative_paths_give_each_file_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    inputs = ["photos/**/*.PNG", "photos/[0-1].jpg", folder / "photos" / "1.jpg"]
    shards = list_shards([*inputs, "photos/more/../0.jpg", "photos/more/../[1].jpg"], 100)
    assert _names(shards) == [("images", ["0.jpg", "1.jpg", "7.PNG"])]
    assert all(file.is_absolute() for file in shards[0].files)


def test_a_pattern_skips_files_of_other_kinds(folder):
    expected = list_shards([folder / "shards"], 1)
    assert len(expected) == 5
    assert list_shards([f"{folder}/shards/*"], 1) == expected


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("photos", "photos/scores"),
        ("photos", "photos/more/../../photos"),
        (".", "scores"),
        ("link", "photos/scores"),
        ("ph*", "photos/scores"),
        ("photos/*", "photos/scores"),
        ("**", "shards/scores"),
        ("**/*.parquet", "shards/scores"),
        ("shards/*.parquet", "shards"),
    ],
)
def test_an_output_that_would_be_found_in_the_input_is_refused(folder, name, output, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "link").symlink_to("photos")
    with pytest.raises(InputError, match="choose a folder outside it") as caught:
        refuse_output_in_inputs([folder / "photos" / "0.jpg", name], Path(output, "1.parquet"))
    assert f"the input {name} " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("photos", "photos_scores"),
        ("photos/0.jpg", "photos/scores"),
        ("photos/*.jpg", "photos/scores"),
        ("**/*.jpg", "photos/scores"),
        ("shards/*.parquet", "shards/scores"),
        ("face[1]", "face1"),
    ],
)
def test_an_output_beside_the_input_is_accepted(folder, name, output, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "face[1]").mkdir()
    refuse_output_in_inputs([name], Path(output, "1.parquet"))


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "face[1].jpg").touch()
    (tmp_path / "face1.jpg").touch()
    assert _names(list_shards([tmp_path / "face[1].jpg"], 9)) == [("images", ["face[1].jpg"])]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "there is no such file or folder"),
        ("photos/*.gif", "there is no file to score"),
        ("shards/*.json", "there is no file to score"),
        ("empty", "there is no file to score"),
        ("shards/index.json", "this kind of file"),
        ("s3://bucket/faces", "mount the bucket"),
    ],
)
def test_input_that_can_not_be_scored_is_refused(folder, name, message, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        list_shards([name], 9)
    assert name in str(caught.value)


def test_a_single_path_instead_of_a_list_is_refused():
    with pytest.raises(InputError, match="must be a list of paths; got 'photographs'"):
        list_shards("photographs", 9)


def test_the_fingerprint_follows_files_their_content_and_the_division(folder):
    inputs = [folder / "photos"]
    before = fingerprint(list_shards(inputs, 3))
    assert fingerprint(list_shards(inputs, 3)) == before
    assert fingerprint(list_shards(inputs, 4)) != before
    os.utime(folder / "photos" / "3.jpg", (1, 1))
    changed = fingerprint(list_shards(inputs, 3))
    assert changed != before
    (folder / "photos" / "8.jpg").touch()
    assert fingerprint(list_shards(inputs, 3)) not in (before, changed)
