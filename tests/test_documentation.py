"""README and guides: code blocks run, commands and options exist, links are valid.

A Python block runs in a folder with `celeba/` (synthetic faces), `faces/` (the images of it),
`attributes.csv` with `images/`, and `model.keras` (untrained, 64x64). The blocks of a page run in
order and share their names. `<!-- not executed: REASON -->` before a block skips it.
"""

import ast
import itertools
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
import yaml
from tiny_backbone import in_place_of_mobilenet

import keras_faramtn
from keras_faramtn import FARAMTN, synthesize
from keras_faramtn.cli import app
from keras_faramtn.experiments.recipe import Recipe

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "saved_models" / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
BLOCK = re.compile(
    r"(?:<!-- not executed: (?P<reason>.+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# What would take too long, or needs a download.
SMALLER = {
    'weights="imagenet"': "weights=None",
    '"mobilenetv3_large"': '"mobilenetv3_small"',
    "epochs=5": "epochs=1",
    "epochs=2": "epochs=1",
}
GITHUB = "https://github.com/keras-faramtn/keras-faramtn/blob/main/"


def _name(page):
    return str(page.relative_to(REPOSITORY))


def _blocks(page, language):
    return [block for block in BLOCK.finditer(page.read_text()) if block["language"] == language]


def _executed(page):
    # CONTRIBUTING shows fragments in good and bad style.
    blocks = [] if page.name == "CONTRIBUTING.md" else _blocks(page, "python")
    return [block["code"] for block in blocks if block["reason"] is None]


def _commands():
    """Each `faramtn` command line of the pages, as (page, words)."""
    for page in PAGES:
        text = page.read_text()
        bash = [block["code"] for block in _blocks(page, "bash")]
        inline = re.findall(r"`([^`\n]*\bfaramtn [^`\n]*)`", text)
        for line in itertools.chain(
            *(code.replace("\\\n", " ").splitlines() for code in bash), inline
        ):
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                words = list(itertools.dropwhile(lambda word: "=" in word, words))
                if words[:1] == ["faramtn"] and len(words) > 1:
                    yield pytest.param(page, words[1:], id=f"{_name(page)}: {' '.join(words)}")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documentation")
    synthesize(folder / "celeba", 20, image_size=(64, 64))
    images = sorted((folder / "celeba").rglob("*.jpg"))
    for name in ("faces", "images"):
        (folder / name).mkdir()
        for image in images[:5]:
            shutil.copy(image, folder / name)
    splits = ("train", "train", "validation", "test", "test")
    rows = [
        f"{image.name},{split},1,{i % 2}"
        for i, (image, split) in enumerate(zip(images[:5], splits, strict=True))
    ]
    (folder / "attributes.csv").write_text("\n".join(["image,split,Happy,Scarf", *rows]) + "\n")
    with in_place_of_mobilenet():
        FARAMTN("mobilenetv3_small", input_shape=(64, 64, 3)).save(folder / "model.keras")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _executed(page)], ids=_name)
def test_python_blocks_run(page, data, tmp_path, monkeypatch):
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in _executed(page):
        for original, smaller in SMALLER.items():
            code = code.replace(original, smaller)
        with in_place_of_mobilenet():
            exec(compile(code, _name(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_python_blocks_parse(page):
    for block in _blocks(page, "python"):
        ast.parse(block["code"])


@pytest.mark.parametrize(("page", "words"), _commands())
def test_commands_and_options_exist(page, words):
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    options = {name for option in command.params for name in option.opts} | {"-h", "--help"}
    given = {word.split("=")[0] for word in words if word.startswith("-")}
    assert given <= options, f"{page}: {sorted(given - options)}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_relative_links_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(GITHUB):
            assert (REPOSITORY / target.removeprefix(GITHUB)).exists(), target
        elif "://" not in target:
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), f"{page}: {target}"
            if anchor and linked.suffix == ".md" and linked.name != "api.md":
                assert anchor in _anchors(linked), f"{page}: {target}"


def _anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_api_reference_lists_every_public_name():
    entries = re.findall(
        r"^::: keras_faramtn\.(\S+)$", (REPOSITORY / "docs/api.md").read_text(), re.M
    )
    names = [entry.rpartition(".")[2] for entry in entries]
    modules = {"callbacks", "layers", "losses", "metrics", "models", "optimizers"}
    assert sorted(names) == sorted(set(keras_faramtn.__all__) - modules)


def test_every_page_is_in_the_navigation():
    navigation = (REPOSITORY / "mkdocs.yml").read_text().split("nav:")[1].split("exclude_docs:")[0]
    listed = set(re.findall(r"(\w+\.md)", navigation))
    assert listed == {page.name for page in (REPOSITORY / "docs").glob("*.md")}


def test_the_recipe_guide_lists_every_key_and_every_recipe():
    text = (REPOSITORY / "docs/recipes.md").read_text()
    for section, field in Recipe.model_fields.items():
        for key in field.annotation.model_fields:
            assert f"`{section}.{key}`" in text
    for recipe in (REPOSITORY / "recipes").glob("*.yaml"):
        assert f"`{recipe.name}`" in text


def test_yaml_blocks_are_valid_recipe_keys():
    for page in PAGES:
        for block in _blocks(page, "yaml"):
            for section, content in yaml.safe_load(block["code"]).items():
                known = Recipe.model_fields[section].annotation.model_fields
                assert set(content) <= set(known), f"{page}: {content}"
