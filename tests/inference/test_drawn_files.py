import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from keras_faramtn.errors import InputError
from keras_faramtn.faces.face import Face
from keras_faramtn.inference.drawn_files import drawn_paths, write_drawings
from keras_faramtn.inference.photographs import FacePrediction, PhotographPrediction

FACE = Face(300, 200, 380, 290, 0.9, (320, 230), (360, 230), (340, 250), (340, 270))


def prediction(path, faces=1):
    each = FacePrediction(1, FACE, {"Smiling": 0.9})
    return PhotographPrediction(path, (each,) * faces)


def drawn(photographs, folder, **faces):
    predictions = [prediction(path, faces.get(path.stem, 1)) for path in photographs]
    passed = list(write_drawings(predictions, photographs, folder))
    assert passed == predictions
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_photographs_with_faces_are_drawn(tmp_path):
    photographs = [tmp_path / "photos" / name for name in ("a.png", "b.webp", "none.jpg")]
    photographs[0].parent.mkdir()
    for path in photographs:
        Image.new("RGB", (700, 500), "gray").save(path)
    before = [path.read_bytes() for path in photographs]
    assert drawn(photographs, tmp_path / "drawn", none=0) == ["a.jpg", "b.jpg"]
    assert [path.read_bytes() for path in photographs] == before
    with Image.open(tmp_path / "drawn" / "a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (700, 500))
        background = np.asarray(image)[10, 10].astype(int)
        assert abs(background - 128).max() <= 2
        assert np.ptp(np.asarray(image)) > 200


def test_a_photograph_that_is_too_long_for_jpeg_is_reduced(tmp_path):
    Image.new("RGB", (70_000, 300), "gray").save(tmp_path / "long.png")
    assert drawn([tmp_path / "long.png"], tmp_path / "drawn") == ["long.jpg"]
    with Image.open(tmp_path / "drawn" / "long.jpg") as image:
        assert image.width == 65_500
        assert image.height == pytest.approx(300 * 65_500 / 70_000, abs=1)


def test_equal_names_in_different_folders_do_not_collide(tmp_path):
    names = [
        "one/x.png",
        "one/x.jpg",
        "two/x.png",
        "two/deep/X.PNG",
        "two/y.jpg/x.png",
        "two/y.gif",
    ]
    photographs = [tmp_path / name for name in names]
    for number, path in enumerate(photographs):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (700, 500), 40 * number).save(path)
    paths = drawn_paths(photographs)
    assert [paths[path].as_posix() for path in photographs] == [
        "one/x.jpg",
        "one/x-2.jpg",
        "two/x.jpg",
        "two/deep/X.jpg",
        "two/y.jpg/x.jpg",
        "two/y-2.jpg",
    ]
    drawn(photographs, tmp_path / "drawn")
    for number, path in enumerate(photographs):
        with Image.open(tmp_path / "drawn" / paths[path]) as image:
            assert abs(int(np.asarray(image)[400, 20].max()) - 40 * number) <= 3


def test_names_that_differ_in_case_only_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = drawn_paths([Path("a.JPG"), Path("A.jpg"), Path("b/../a.png"), Path("a.JPG")])
    assert [path.as_posix() for path in paths.values()] == ["a.jpg", "A-2.jpg", "a-3.jpg"]
    paths = drawn_paths([Path("a.JPG"), Path("A.jpg")], ".png")
    assert [path.as_posix() for path in paths.values()] == ["a.png", "A-2.png"]
    elsewhere = drawn_paths([Path("a.jpg"), tmp_path.parent / "b.jpg"])
    assert elsewhere[tmp_path.parent / "b.jpg"] == Path("b.jpg")
    assert elsewhere[Path("a.jpg")] == Path(tmp_path.name, "a.jpg")


def test_files_of_the_user_are_never_overwritten(tmp_path):
    photograph = tmp_path / "a.jpg"
    Image.new("RGB", (700, 500)).save(photograph)
    content = photograph.read_bytes()
    with pytest.raises(InputError, match="it already exists; choose another folder"):
        drawn([photograph], tmp_path)
    with pytest.raises(InputError, match="it already exists"):
        drawn([photograph], photograph)
    assert photograph.read_bytes() == content
    assert list(tmp_path.iterdir()) == [photograph]


def test_the_drawing_is_upright_and_without_the_data_of_the_camera(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "a camera"
    Image.new("RGB", (500, 700)).save(tmp_path / "a.jpg", exif=exif)
    drawn([tmp_path / "a.jpg"], tmp_path / "drawn")
    with Image.open(tmp_path / "drawn" / "a.jpg") as image:
        assert image.size == (700, 500)
        assert not dict(image.getexif())


def test_a_colour_profile_is_kept_unless_it_is_for_other_colours(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cmyk = profile[:16] + b"CMYK" + profile[20:]
    Image.new("RGB", (700, 500)).save(tmp_path / "rgb.jpg", icc_profile=profile)
    Image.new("CMYK", (700, 500)).save(tmp_path / "cmyk.jpg", icc_profile=cmyk)
    drawn([tmp_path / "rgb.jpg", tmp_path / "cmyk.jpg"], tmp_path / "drawn")
    kept = {}
    for name in ("rgb", "cmyk"):
        content = io.BytesIO((tmp_path / "drawn" / f"{name}.jpg").read_bytes())
        with Image.open(content) as image:
            kept[name] = image.info.get("icc_profile")
    assert kept == {"rgb": profile, "cmyk": None}


def test_drawings_before_an_error_are_kept(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (700, 500)).save(tmp_path / name)
    photographs = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    predictions = write_drawings(map(prediction, photographs), photographs, tmp_path / "drawn")
    next(predictions)
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(InputError, match="there is no such image"):
        next(predictions)
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["a.jpg"]
