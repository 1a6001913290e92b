"""A page in a real browser: it loads nothing, prints nothing, and is accessible."""

import shutil

import pytest
from scored import page_of, scored_model

from keras_faramtn.evaluation.convergence import convergence_of_runs

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HISTORY = {
    "loss": [1.0, 0.5],
    "val_loss": [1.1, 0.7],
    "dws_first": [1.0, 0.8],
    "dws_second": [1, 1.2],
}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    names = ["Smiling", "Young", "<img src=x onerror=alert(1)>", "a_name_" * 20]
    path = folder / "report.html"
    losses = {"first": [0.5, 0.2], "second": [0.6, 0.1]}
    convergence = convergence_of_runs([losses], dict.fromkeys(losses, 0.7))
    model = scored_model(folder, names, history=HISTORY, convergence=convergence)
    path.write_text(page_of(model), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="THE PAGE IS NOT TESTED: no playwright")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("THE PAGE IS NOT TESTED: there is no Chromium")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_quiet_accessible_and_fits_a_phone(browser, page_file, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    requested, messages = [], []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(page_file.as_uri())
    assert [url for url in requested if not url.startswith("data:")] == [page_file.as_uri()]
    assert messages == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    broken = "[...document.images].filter(image => !image.naturalWidth).length"
    assert page.evaluate(broken) == 0
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    violations = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == []
    context.close()


def test_everything_is_printed(browser, page_file):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    closed = page.locator("details:not([open]) table").first
    assert closed.is_visible()
    page.close()
