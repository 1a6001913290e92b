"""The page in a real browser, compared with predictions in Python for the same face crops."""

import base64
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import numpy as np
import pytest
import tensorflow as tf
from demo_pages import expected_of_crop, shown, wait_for
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.tflite_metadata import Metadata
from keras_faramtn.model_record import ModelRecord, record_from_json
from keras_faramtn.synthetic.faces import draw_faces
from keras_faramtn.web_demo import writer
from keras_faramtn.web_demo.writer import write_web_demo


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """An image larger than the network's input, with odd height and width."""
    path = tmp_path_factory.mktemp("faces") / "face.jpg"
    Image.fromarray(draw_faces(1, (431, 357), seed=5)[0]).save(path, quality=92)
    return path


@pytest.mark.parametrize("accelerator", ["wasm", "webgpu"])
def test_probabilities_match_python_and_no_image_is_uploaded(
    browser_with_gpu, visit, site, face, accelerator
):
    page = visit(f"?accelerator={accelerator}", browser_with_gpu)
    assert page.get_attribute("#engine", "data-accelerator") == accelerator
    page.wait_for_load_state("networkidle")
    assert {urlsplit(url).netloc for url in page.requested} == {urlsplit(site.url).netloc}
    page.requested.clear()
    page.set_input_files("#file", face)
    wait_for(page, expected_of_crop(site.model, face))
    assert [url for url in page.requested if not url.startswith("blob:")] == []


def test_the_page_works_without_a_gpu(visit):
    assert visit().get_attribute("#engine", "data-accelerator") == "wasm"


def test_a_gpu_that_fails_later_is_replaced_by_the_cpu(browser_with_gpu, visit, site, face):
    page = visit("", browser_with_gpu)
    assert page.get_attribute("#engine", "data-accelerator") == "webgpu"
    page.evaluate("() => { GPUQueue.prototype.submit = () => { throw new Error('device lost') } }")
    page.set_input_files("#file", face)
    wait_for(page, expected_of_crop(site.model, face))
    assert page.get_attribute("#engine", "data-accelerator") == "wasm"


def test_groups_names_and_summary(visit, site, face):
    page = visit()
    page.set_input_files("#file", face)
    expected = expected_of_crop(site.model, face)
    wait_for(page, expected)
    groups = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.group')].map(group =>"
        "[group.querySelector('h3').textContent,"
        " [...group.querySelectorAll('li')].map(row => row.dataset.attribute)]))"
    )
    assert set(groups) == {
        *{"Mouth", "Ear", "Lower face", "Cheeks", "Nose", "Eyes", "Hair", "Object"}
    }
    assert groups["Lower face"] == list(FACE_REGIONS["lower_face"])
    assert groups["Hair"] == list(FACE_REGIONS["hair"])
    row = page.locator("[data-attribute='5_o_Clock_Shadow']")
    percent = f"{round(100 * expected['5_o_Clock_Shadow'])} %"
    assert row.inner_text().split("\n") == ["5 o\u2019clock shadow", percent]
    most_probable = max(expected, key=expected.get).replace("_", " ").capitalize()
    assert page.inner_text("#summary").startswith(most_probable)
    positive = sum(value > 0.5 for value in expected.values())
    assert page.locator(".positive").count() == positive
    assert page.inner_text("#summary").endswith(f"and {positive - 8} more")


def test_bar_lengths_are_the_probabilities(visit, face):
    page = visit(reduced_motion="reduce")
    page.set_input_files("#file", face)
    for name, value in shown(page).items():
        bar = page.locator(f"[data-attribute='{name}'] .bar")
        full, filled = bar.evaluate(
            "bar => [bar.clientWidth, parseFloat(getComputedStyle(bar, '::before').width)]"
        )
        assert filled == pytest.approx(full * value, abs=1)


def test_images_are_shown_upright(visit, site, face, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(face) as image:
        image.rotate(90, expand=True).save(tmp_path / "rotated.jpg", exif=exif, quality=92)
    page = visit()
    page.set_input_files("#file", tmp_path / "rotated.jpg")
    wait_for(page, expected_of_crop(site.model, tmp_path / "rotated.jpg"))
    assert page.evaluate("[image.width, image.height]") == [357, 431]


def test_a_wide_image_gets_a_frame_that_moves_by_keys_and_pointer(visit, site, tmp_path):
    wide = np.concatenate(draw_faces(3, (218, 178), seed=1), axis=1)
    Image.fromarray(wide).save(tmp_path / "wide.png")

    def expect(left, top, width, height):
        crop = Image.fromarray(wide).crop((left, top, left + width, top + height))
        crop.save(tmp_path / "crop.png")
        wait_for(page, expected_of_crop(site.model, tmp_path / "crop.png"))

    page = visit()
    page.set_input_files("#file", tmp_path / "wide.png")
    expect(178, 0, 178, 218)
    page.focus("#frame")
    page.keyboard.press("ArrowRight")
    expect(178 + 11, 0, 178, 218)  # by 2 % of 534, rounded
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    expect(2 * 178, 0, 178, 218)  # stopped by the edge
    box = page.locator("#frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(0, box["y"], steps=5)
    page.mouse.up()
    expect(0, 0, 178, 218)
    page.fill("#size", "0.56")
    expect(39, 48, 100, 122)
    page.select_option("#region", "image")
    wait_for(page, expected_of_crop(site.model, tmp_path / "wide.png"))
    assert page.locator("#frame").is_hidden()


def test_camera_images_are_predicted_and_the_last_is_kept(visit, site, tmp_path):
    page = visit()
    page.click("#camera")
    first = shown(page)
    # The test image of the browser moves.
    page.wait_for_function(
        "first => document.querySelector('#groups data').value != first", arg=next(iter(first))
    )
    assert page.locator("#video").is_visible()
    assert page.get_attribute("#summary", "aria-live") == "off"
    page.click("#camera")
    assert page.locator("#video").is_hidden()
    assert page.evaluate("video.srcObject") is None
    assert page.inner_text("#camera") == "Use the camera"
    data = page.evaluate("image.toDataURL()").split(",")[1]
    kept = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert kept.width / kept.height == pytest.approx(178 / 218, abs=0.01)
    assert np.asarray(kept).std() > 10
    kept.save(tmp_path / "kept.png")
    wait_for(page, expected_of_crop(site.model, tmp_path / "kept.png"))


def test_a_denied_camera_is_explained(visit):
    page = visit()
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => {"
        " throw new DOMException('no', 'NotAllowedError') } }"
    )
    page.click("#camera")
    assert "was not allowed to use the camera" in page.inner_text("#problem")


def test_dropped_images_and_other_files(visit, site, face):
    page = visit()
    drop = """([encoded, name]) => {
        const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], name));
        document.getElementById("stage").dispatchEvent(
          new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [base64.b64encode(b"not an image").decode(), "notes.txt"])
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith("notes.txt can\u2019t be read as an image")
    page.evaluate(drop, [base64.b64encode(face.read_bytes()).decode(), "face.jpg"])
    wait_for(page, expected_of_crop(site.model, face))
    assert page.locator("#problem").is_hidden()


def test_samples_can_be_predicted(visit, site):
    page = visit()
    page.click("#samples button:nth-of-type(2)")
    sample = site.folder / "crops" / "samples" / "2.png"
    wait_for(page, expected_of_crop(site.model, sample))


def test_a_missing_network_is_reported(browser, site, face):
    page = browser.new_page()
    page.route("**/*.tflite", lambda route: route.fulfill(status=404))
    page.goto(site.url + "crops/")
    page.wait_for_selector("#problem:not([hidden])")
    assert "faramtn_float16.tflite: 404" in page.inner_text("#problem")
    page.set_input_files("#file", face)
    page.get_by_text("The network failed: ").wait_for()
    page.close()


def test_all_controls_can_be_reached_by_keyboard(visit, face):
    page = visit()
    page.set_input_files("#file", face)
    shown(page)
    page.select_option("#region", "frame")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        # The focus must be visible.
        assert page.evaluate(
            "(document.activeElement.closest('label.button') ?? document.activeElement)"
            ".matches('body') || getComputedStyle(document.activeElement.closest('label.button')"
            " ?? document.activeElement).outlineStyle != 'none'"
        )
    assert {"file", "camera", "frame", "region", "size"} <= set(reached)
    named = page.get_by_role("button", name="Use the camera")
    assert named.count() == 1
    assert page.get_by_role("slider", name="Size").count() == 1
    assert page.get_by_role("button", name="Drawn face 1").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_both_colour_schemes(visit, face, scheme):
    page = visit(viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page.set_input_files("#file", face)
    shown(page)
    page.select_option("#region", "frame")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for button in page.locator(".button:visible").all():
        assert button.bounding_box()["height"] >= 44
    # The summary is visible without scrolling.
    assert page.locator("#summary").bounding_box()["y"] < 800
    texts = [
        "h1",
        "header p",
        "#summary",
        ".group li:not(.positive)",
        ".positive",
        "footer p",
        "h3",
    ]
    for selector in [*texts, ".primary", "#camera", "#samples p"]:
        assert _contrast(page, selector) >= 4.5, selector
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(_rgb(dark)) < 128 * 3) == (scheme == "dark")


def _rgb(colour):
    return [float(channel) for channel in colour[colour.index("(") + 1 : -1].split(",")[:3]]


def _contrast(page, selector):
    """The WCAG contrast ratio between a text and its background."""
    colours = page.locator(selector).first.evaluate(
        """element => {
            let background = element;
            while (getComputedStyle(background).backgroundColor == "rgba(0, 0, 0, 0)")
              background = background.parentElement;
            return [getComputedStyle(element).color, getComputedStyle(background).backgroundColor];
        }"""
    )
    values = np.array([_rgb(colour) for colour in colours]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)


def test_the_page_is_complete(exported, tmp_path):
    write_web_demo(exported / "tflite" / "faramtn_float16.tflite", tmp_path / "page")
    files = {path.name for path in (tmp_path / "page").rglob("*")}
    assert {"index.html", "faramtn_float16.tflite", "core.js", "LICENSE", "README.md"} <= files
    assert {"full_range.tflite", "NOTICE"} <= files
    content = json.loads((tmp_path / "page" / "model.json").read_text())
    record = record_from_json(json.dumps(content))
    assert record == ModelRecord(
        AttributeGroups(FACE_REGIONS, CELEBA_ATTRIBUTES), CELEBA_FRAMING, thresholds=None
    )
    assert all((tmp_path / "page" / sample["url"]).is_file() for sample in content["samples"])


def test_without_framing_there_is_no_detector(exported, tmp_path, monkeypatch):
    unframed = dataclasses.replace(
        load_predictor(exported / "tflite" / "faramtn_float16.tflite"),
        record=ModelRecord(AttributeGroups(FACE_REGIONS, CELEBA_ATTRIBUTES)),
    )
    monkeypatch.setattr(writer, "load_predictor", lambda _: unframed)
    write_web_demo(exported, tmp_path / "page")
    assert not (tmp_path / "page" / "blazeface").exists()


def test_nothing_is_overwritten(exported, tmp_path):
    (tmp_path / "precious").write_text("keep me")
    with pytest.raises(InputError, match="it already exists; choose another folder"):
        write_web_demo(exported, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_an_export_with_no_or_several_networks_is_reported(exported, tmp_path):
    for path in (tmp_path / "missing", tmp_path / "missing.tflite"):
        with pytest.raises(InputError, match=f"{path}: no such export"):
            write_web_demo(path, tmp_path / "page")
    with pytest.raises(InputError, match=r"labels\.txt: the page runs a \.tflite file"):
        write_web_demo(exported / "labels.txt", tmp_path / "page")
    with pytest.raises(InputError, match=r"no float \.tflite file in its subfolder tflite"):
        write_web_demo(tmp_path, tmp_path / "page")
    shutil.copytree(exported, tmp_path / "export")
    tflite = tmp_path / "export" / "tflite"
    shutil.copy(tflite / "faramtn_float16.tflite", tflite / "other_float16.tflite")
    with pytest.raises(InputError, match=r"choose one of faramtn_float16\.tflite, other_float16"):
        write_web_demo(tmp_path / "export", tmp_path / "page")


def test_a_network_with_integer_input_is_refused(tmp_path):
    means = tf.function(
        lambda images: tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]),
        input_signature=[tf.TensorSpec((1, 4, 4, 3), tf.uint8)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([means.get_concrete_function()])
    (tmp_path / "means.tflite").write_bytes(converter.convert())
    (tmp_path / "labels.txt").write_text("red green blue".replace(" ", "\n"))
    with pytest.raises(InputError, match="its input or output is uint8, which the page doesn't"):
        write_web_demo(tmp_path / "means.tflite", tmp_path / "page")


def test_a_network_whose_input_must_be_normalised_is_refused(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "read_metadata", lambda _: Metadata((127.5,), (127.5,)))
    with pytest.raises(InputError, match="its pixels must be normalised before the network"):
        write_web_demo(exported, tmp_path / "page")


def test_the_command_needs_no_tensorflow(exported, tmp_path):
    script = (
        "import sys; from keras_faramtn.cli import app;"
        f"app(['demo-page', {str(exported)!r}, '--to', {str(tmp_path / 'page')!r}],"
        " standalone_mode=False);"
        "heavy = {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert f"python -m http.server --bind localhost --directory {tmp_path}" in done.stdout
    assert (tmp_path / "page" / "index.html").is_file()
