import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from scenes import DRAWN, busy_background, compose

from keras_faramtn.faces.detector import FaceDetector


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def errors(found, placed):
    """For each placed face the distance of the nearest detection's eyes and mouth from its own, as
    a fraction of the face's width, `(faces,)`."""
    points = np.array([[face.left_eye, face.right_eye, face.mouth] for face in found])
    truth = np.array([[face.left_eye, face.right_eye, face.mouth] for face in placed])
    distances = np.linalg.norm(truth[:, None] - points.reshape(-1, 3, 2), axis=-1).mean(axis=-1)
    return distances.min(axis=1, initial=np.inf) / [face.size for face in placed]


@pytest.mark.parametrize("face_sizes", [(24, 48), (48, 96), (96, 200), (200, 400)])
def test_faces_on_busy_backgrounds_are_found(detector, face_sizes):
    size = (1100, 900) if face_sizes[0] == 200 else (640, 480)
    found, placed, near = 0, 0, []
    for seed in range(4):
        photograph, faces = compose(seed, size, 4, face_sizes=face_sizes)
        detected = detector.detect(photograph)
        found, placed = found + len(detected), placed + len(faces)
        near += errors(detected, faces).tolist()
    near = np.array(near)
    assert placed >= 5
    assert np.mean(near < 0.25) >= 0.9
    assert np.median(near) < 0.1  # the drawn positions themselves differ by about 0.05
    assert found <= placed + 1


def test_the_largest_face_is_first_and_coordinates_are_those_of_the_photograph(detector):
    photograph, faces = compose(5, (800, 500), 5, face_sizes=(40, 180), max_angle=10)
    found = detector.detect(photograph)
    widths = [face.right - face.left for face in found]
    assert widths == sorted(widths, reverse=True)
    for face in found[:2]:
        assert face.left < face.left_eye[0] < face.nose[0] < face.right_eye[0] < face.right
        assert face.top < face.left_eye[1] < face.nose[1] < face.mouth[1] < face.bottom
        assert 0.5 < face.score <= 1
        assert np.min(errors([face], faces)) < 0.1
        assert all(type(value) is float for value in (*face.box, face.score, *face.mouth))


@pytest.mark.parametrize("angle", [-45, -30, 30, 45])
def test_turned_faces_are_found(detector, angle):
    photograph = busy_background((400, 300), np.random.default_rng(1))
    portrait = DRAWN.image(3, (218, 178)).rotate(-angle, expand=True, fillcolor="gray")
    photograph.paste(portrait, (50, 5))
    (face,) = detector.detect(photograph)
    across, down = np.subtract(face.right_eye, face.left_eye)
    assert abs(np.degrees(np.arctan2(down, across)) - angle) < 10


def test_a_face_that_fills_the_image_is_found(detector):
    close_up = DRAWN.image(3, (872, 712)).crop((150, 230, 560, 720))
    (face,) = detector.detect(close_up)
    assert face.right - face.left > 0.7 * close_up.width
    assert face.left_eye[0] < 0.5 * close_up.width < face.right_eye[0]


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_a_face_cut_by_the_edge_of_the_photograph_is_found_once(detector, side):
    portrait = DRAWN.image(3, (436, 356))
    cuts = {
        "left": (110, 0, 356, 436),
        "top": (0, 180, 356, 436),
        "right": (0, 0, 246, 436),
        "bottom": (0, 0, 356, 300),
    }
    photograph = Image.new("RGB", (900, 700), "gray")
    cut = portrait.crop(cuts[side])
    left = {"left": 0, "right": 900 - cut.width}.get(side, 200)
    top = {"top": 0, "bottom": 700 - cut.height}.get(side, 100)
    photograph.paste(cut, (left, top))
    assert len(detector.detect(photograph)) == 1


def test_a_face_anywhere_among_the_tiles_is_found_once(detector):
    portrait = DRAWN.image(3, (122, 100))
    background = busy_background((1000, 500), np.random.default_rng(3))
    for left in range(100, 800, 97):
        photograph = background.copy()
        photograph.paste(portrait, (left, left // 3))
        (face,) = detector.detect(photograph)
        assert abs((face.left_eye[0] + face.right_eye[0]) / 2 - left - 50) < 6


def test_a_crowd_is_found(detector):
    columns, rows = 15, 10
    photograph = Image.new("RGB", (columns * 72, rows * 88))
    for number in range(columns * rows):
        portrait = DRAWN.image(number % 40, (88, 72))
        photograph.paste(portrait, (number % columns * 72, number // columns * 88))
    found = detector.detect(photograph)
    cells = {(round(face.nose[0]) // 72, round(face.nose[1]) // 88) for face in found}
    assert len(cells) >= 0.95 * columns * rows
    assert len(found) <= 1.02 * columns * rows


def test_faces_are_found_in_grayscale_photographs(detector):
    near = []
    for seed in range(3):
        photograph, faces = compose(seed, (640, 480), 4, face_sizes=(40, 120))
        near += errors(detector.detect(photograph.convert("L").convert("RGB")), faces).tolist()
    assert len(near) >= 8
    assert np.mean(np.array(near) < 0.25) >= 0.85


def test_backgrounds_show_no_face(detector):
    found = [
        detector.detect(busy_background((700, 500), np.random.default_rng(seed)))
        for seed in range(20, 26)
    ]
    assert sum(map(len, found)) <= 1


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 300), (10_000, 50), (50, 10_000), (193, 191)], ids=str
)
def test_photographs_of_any_size_are_accepted(detector, size):
    assert detector.detect(Image.new("RGB", size, (200, 120, 90))) == []


def test_a_face_in_a_very_wide_photograph_is_found(detector):
    photograph = Image.new("RGB", (3000, 120), "gray")
    photograph.paste(DRAWN.image(3, (120, 98)), (1777, 0))
    (face,) = detector.detect(photograph)
    assert abs(face.nose[0] - 1777 - 49) < 6


def test_threads_may_share_a_detector(detector):
    photographs = [compose(seed, (320, 240), 2, face_sizes=(30, 80))[0] for seed in range(4)]
    expected = [detector.detect(photograph) for photograph in photographs]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(detector.detect, photographs * 3)) == expected * 3


def test_detection_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys; from PIL import Image; from keras_faramtn.faces.detector import FaceDetector;"
        "FaceDetector().detect(Image.new('RGB', (9, 9)));"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mtcnn_finds_eyes_and_mouths_at_the_same_positions(detector):
    photograph, _ = compose(11, (600, 400), 5, face_sizes=(50, 120), max_angle=20)
    ours = detector.detect(photograph)
    compared = 0
    mtcnn = pytest.importorskip("mtcnn", reason="needs MTCNN, an independent detector")
    for theirs in mtcnn.MTCNN().detect_faces(np.asarray(photograph)):
        marks = theirs["keypoints"]
        mouth = np.mean([marks["mouth_left"], marks["mouth_right"]], axis=0)
        truth = np.array([marks["left_eye"], marks["right_eye"], mouth])
        points = np.array([[face.left_eye, face.right_eye, face.mouth] for face in ours])
        distance = np.linalg.norm(points - truth, axis=-1).mean(axis=-1).min()
        assert distance < 0.12 * theirs["box"][2]
        compared += 1
    assert compared >= 2
