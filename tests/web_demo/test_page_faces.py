"""The page finds, crops and predicts the same faces as Python."""

import base64
import shutil

import numpy as np
import pytest
from demo_pages import change_record, shown, wait_for
from PIL import Image
from scenes import compose

from keras_faramtn.data.images import load_upright
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.loading import load_predictor

# Runtimes sum in different orders, and Pillow 13 resizes some images by columns first. Both change
# some pixels by 1 of 255, which moves the points of a face by up to 0.03 pixels and so changes more
# pixels of its crop.
PIXELS = 0.2
PROBABILITIES = 0.02

READ_BOXES = """[...document.querySelectorAll("#boxes rect")].map((box) =>
    ["x", "y", "width", "height"].map((name) => Number(box.getAttribute(name))))"""


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """Large enough that the detector sees it in tiles."""
    path = tmp_path_factory.mktemp("photographs") / "photograph.jpg"
    compose(3, (820, 640), 3, face_sizes=(50, 160))[0].save(path, quality=92)
    return path


def _expected(site, path):
    """The boxes as left, top, width and height, and the probabilities by attribute."""
    image, predictor = load_upright(path), load_predictor(site.model)
    faces = FaceDetector().detect(image)
    assert len(faces) > 1
    crops = [crop_face(image, face, CELEBA_FRAMING, predictor.image_size) for face in faces]
    boxes = [
        (face.left, face.top, face.right - face.left, face.bottom - face.top) for face in faces
    ]
    rows = predictor.predict(np.stack(crops)).astype(float)
    return boxes, [dict(zip(predictor.attributes, row, strict=True)) for row in rows.tolist()]


@pytest.mark.parametrize("accelerator", ["wasm", "webgpu"])
def test_faces_and_probabilities_match_python(
    browser_with_gpu, visit, site, photograph, tmp_path, accelerator
):
    if accelerator == "webgpu":  # emulated, so it is slow
        photograph = tmp_path / "small.jpg"
        compose(0, (300, 220), 2, face_sizes=(40, 70))[0].save(photograph, quality=92)
    boxes, probabilities = _expected(site, photograph)
    page = visit(f"?accelerator={accelerator}", browser_with_gpu, site_page="faces")
    page.set_input_files("#file", photograph)
    for index, expected in enumerate(probabilities):
        page.locator("#faces label").nth(index).click(timeout=100_000)
        wait_for(page, expected, PROBABILITIES)
    np.testing.assert_allclose(page.evaluate(READ_BOXES), boxes, atol=PIXELS)
    assert page.get_attribute("#engine", "data-accelerator") == accelerator


def test_faces_in_a_photograph_with_exif_orientation_match_python(
    visit, site, photograph, tmp_path
):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photograph) as image:
        image.rotate(90, expand=True).save(tmp_path / "rotated.jpg", exif=exif, quality=92)
    boxes, probabilities = _expected(site, tmp_path / "rotated.jpg")
    page = visit(site_page="faces")
    page.set_input_files("#file", tmp_path / "rotated.jpg")
    wait_for(page, probabilities[0], PROBABILITIES)
    np.testing.assert_allclose(page.evaluate(READ_BOXES), boxes, atol=PIXELS)


def test_a_face_is_chosen_by_pointer_touch_and_keyboard(visit, site, photograph):
    boxes, probabilities = _expected(site, photograph)
    page = visit(site_page="faces", has_touch=True)
    page.set_input_files("#file", photograph)
    wait_for(page, probabilities[0], PROBABILITIES)
    page.focus("#faces input:checked")
    page.keyboard.press("ArrowRight")
    wait_for(page, probabilities[1], PROBABILITIES)
    assert page.locator("#boxes rect.chosen").count() == 1
    assert page.locator("#boxes rect").nth(1).get_attribute("class") == "chosen"
    assert page.get_by_role("radio", name=f"Face 2 of {len(boxes)}").is_checked()
    assert page.get_by_role("group", name=f"{len(boxes)} faces found").count() == 1
    # The nearest face is chosen, so small ones can be hit by a finger.
    view = page.locator("#image").bounding_box()
    scale = view["width"] / 820
    left, top, *_ = boxes[0]
    page.touchscreen.tap(view["x"] + scale * left - 2, view["y"] + scale * top - 2)
    wait_for(page, probabilities[0], PROBABILITIES)


def test_a_photograph_without_a_face(visit, site, photograph, tmp_path):
    Image.new("RGB", (160, 120), "teal").save(tmp_path / "empty.png")
    page = visit(site_page="faces")
    page.set_input_files("#file", photograph)
    shown(page)
    page.set_input_files("#file", tmp_path / "empty.png")
    page.get_by_text("No face was found in this image").wait_for()
    # Nothing of the previous photograph remains.
    assert page.locator("#boxes rect").count() == page.locator("#faces label").count() == 0
    assert page.locator(".positive").count() == 0
    assert set(page.locator("#groups data").all_inner_texts()) == {"\u2013"}
    page.select_option("#region", "frame")
    shown(page)
    assert page.locator("#frame").is_visible()


def test_faces_in_camera_images_are_followed(visit, site, photograph):
    # A camera that shows the photograph, and then its mirror image.
    camera = """
        const canvas = document.createElement("canvas");
        navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(30);
        self.film = async (encoded, isMirrored) => {
          const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
          const image = await createImageBitmap(new Blob([bytes]));
          [canvas.width, canvas.height] = [image.width, image.height];
          const context = canvas.getContext("2d");
          if (isMirrored) context.setTransform(-1, 0, 0, 1, image.width, 0);
          clearInterval(self.filming);
          self.filming = setInterval(() => context.drawImage(image, 0, 0), 30);
        };"""
    boxes, _ = _expected(site, photograph)
    page = visit(site_page="faces", script=camera)
    encoded = base64.b64encode(photograph.read_bytes()).decode()
    page.evaluate("([encoded]) => film(encoded, false)", [encoded])
    page.click("#camera")
    shown(page)
    # The video is compressed.
    np.testing.assert_allclose(page.evaluate(READ_BOXES), boxes, atol=5)
    page.locator("#faces label").nth(1).click()
    page.wait_for_selector("#boxes rect:nth-child(2).chosen")
    page.click("#camera")
    page.wait_for_selector("#boxes rect:nth-child(1).chosen")
    assert page.locator("#video").is_hidden()
    assert page.evaluate("[image.width, image.height]") == [820, 640]


def test_a_network_without_framing_takes_face_crops(visit, photograph):
    page = visit()
    assert page.inner_text("#note").startswith(
        "This network doesn\u2019t record how faces are framed"
    )
    assert page.locator("#region option").all_inner_texts() == ["a frame I set", "the whole image"]
    page.set_input_files("#file", photograph)
    shown(page)
    assert not [url for url in page.requested if "blazeface/" in url]


def test_thresholds_of_the_model_decide_what_is_shown(visit, site, photograph):
    _, [expected, *_] = _expected(site, photograph)
    low, high = min(expected, key=expected.get), max(expected, key=expected.get)
    thresholds = dict.fromkeys(expected, 0.5) | {low: expected[low] - 0.05, high: 1.0}
    shutil.copytree(site.folder / "faces", site.folder / "thresholds")
    change_record(site.folder / "thresholds", thresholds=thresholds)
    page = visit(site_page="thresholds")
    page.set_input_files("#file", photograph)
    shown(page)
    positive = page.evaluate(
        "[...document.querySelectorAll('.positive')].map((row) => row.dataset.attribute)"
    )
    certain = {name for name, value in expected.items() if abs(value - thresholds[name]) > 0.01}
    assert set(positive) & certain == {
        name for name in certain if expected[name] > thresholds[name]
    }
    assert low in positive
    assert high not in positive


def test_a_missing_detector_is_reported(browser, site, photograph):
    page = browser.new_page()
    page.route("**/full_range.tflite", lambda route: route.fulfill(status=404))
    page.goto(site.url + "faces/")
    page.wait_for_selector("#engine[data-accelerator]")
    page.set_input_files("#file", photograph)
    page.wait_for_selector("#problem:not([hidden])")
    assert "blazeface/full_range.tflite: 404" in page.inner_text("#problem")
    page.close()


def test_only_webgpu_requests_a_gpu(browser_with_gpu, visit):
    script = """
        self.requests = 0;
        const { requestAdapter } = GPU.prototype;
        GPU.prototype.requestAdapter = function (...options) {
          self.requests++;
          return requestAdapter.apply(this, options);
        };"""
    page = visit("?accelerator=wasm", browser_with_gpu, script=script)
    assert page.evaluate("requests") == 0
    page = visit("", browser_with_gpu, script=script)
    assert page.evaluate("requests") == 1


def test_nothing_moves_while_the_page_loads_and_faces_are_found(visit, photograph):
    """Cumulative layout shift; it was 0.38."""
    script = """
        self.shift = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) self.shift += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
        // The first paint comes before the network, as on a slow phone.
        const { fetch } = self;
        self.fetch = async (...request) => {
          await new Promise((resolve) => setTimeout(resolve, 300));
          return fetch(...request);
        };"""
    page = visit(site_page="faces", script=script, viewport={"width": 412, "height": 823})
    page.set_input_files("#file", photograph)
    shown(page)
    page.wait_for_timeout(100)
    assert page.evaluate("shift") < 0.05
