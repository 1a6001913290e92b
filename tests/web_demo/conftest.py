"""Demo pages, served to a real browser."""

import functools
import http.server
import shutil
import threading

import pytest
from demo_pages import Site, change_record
from trained_network import EXPORT, copy_tflite

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.web_demo.writer import write_web_demo

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A fake camera that shows a test image.
FLAGS = [
    *["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    *["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
]
# A GPU emulated in software.
GPU_FLAGS = [
    *["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    *["--enable-features=Vulkan", "--ignore-gpu-blocklist"],
]


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "export"
    (folder / "tflite").mkdir(parents=True)
    groups = AttributeGroups(FACE_REGIONS, CELEBA_ATTRIBUTES)
    copy_tflite("float16", folder / "tflite", ModelRecord(groups, CELEBA_FRAMING))
    shutil.copy(EXPORT / "labels.txt", folder)
    return folder


@pytest.fixture(scope="session")
def site(exported):
    folder = exported.parent / "site"
    model = write_web_demo(exported, folder / "faces")
    assert model.name == "faramtn_float16.tflite"
    shutil.copytree(folder / "faces", folder / "crops")
    shutil.rmtree(folder / "crops" / "blazeface")
    change_record(folder / "crops", framing=None)
    handler = functools.partial(_QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(model, folder, f"http://localhost:{server.server_port}/")
        server.shutdown()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def playwright():
    api = pytest.importorskip(
        "playwright.sync_api", reason="THE PAGE IS NOT TESTED: pip install playwright"
    )
    with api.sync_playwright() as started:
        yield started


def _launch(playwright, *flags):
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"THE PAGE IS NOT TESTED: there is none of {', '.join(BROWSERS)}")
    return playwright.chromium.launch(executable_path=program, args=[*FLAGS, *flags])


@pytest.fixture(scope="session")
def browser(playwright):
    browser = _launch(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browser_with_gpu(playwright):
    browser = _launch(playwright, *GPU_FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def visit(browser, site):
    """Opens a page in a new window; fails on errors in the page."""
    opened = []

    def open_page(query="", browser=browser, *, site_page="crops", script="", **window):
        context = browser.new_context(**window)
        page = context.new_page()
        page.errors, page.requested = [], []
        page.on("pageerror", lambda error: page.errors.append(error))
        page.on("request", lambda request: page.requested.append(request.url))
        opened.append((context, page))
        page.add_init_script(script)
        page.goto(f"{site.url}{site_page}/{query}")
        page.wait_for_selector("#engine[data-accelerator]")
        return page

    yield open_page
    for context, page in opened:
        assert page.errors == []
        context.close()
