"""Pages about models with odd data."""

from html.parser import HTMLParser

import numpy as np
import pytest
from scored import page_of, scored_model

from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.subgroups import Subgroups, subgroup_scores
from keras_faramtn.report.page import check_page_path, write_page

NAMES = [
    "<script>alert(1)</script>",
    "quote\"'&",
    "\N{GRINNING FACE}",
    "שלום",
    "{{ 7*7 }}",
    "x" * 300,
]
VOID = {"meta", "link", "img", "br"}


class Structure(HTMLParser):
    """Checks that elements are closed in order; collects ids, headings and the targets of links."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.headings = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a":
            self.links.append(given["href"])
        if tag == "img":
            assert given["src"].startswith("data:image/")
            assert given["alt"]
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(int(tag[1]))
        assert not any(name.startswith("on") for name in given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def structure_of(page):
    structure = Structure()
    structure.feed(page)
    structure.close()
    assert structure.open == []
    assert len(set(structure.ids)) == len(structure.ids)
    assert {link.removeprefix("#") for link in structure.links} <= set(structure.ids)
    steps = np.diff(structure.headings)
    assert structure.headings[0] == 1
    assert (steps <= 1).all()
    assert "script" not in structure.tags
    return structure


def constant(value):
    return {"labels": np.full((30, 2), value, "int8")}


@pytest.mark.parametrize(
    "odd",
    [
        {"names": NAMES},
        {"names": ["a", "b"], "images": 1},
        {"names": ["Smiling"]},
        {"names": ["a", "b"], **constant(0)},
        {"names": ["a", "b"], **constant(1)},
        {"names": ["a", "b"], **constant(-1)},
        {"names": ["a", "b"], "probabilities": np.tile([[0.0, 1.0], [1.0, 0.0]], (20, 1))},
        {"names": ["a", "b"], "history": {"loss": [0.5], "dws_first": [1.0], "dws_second": [1.0]}},
    ],
    ids=["names", "one image", "one attribute", "all no", "all yes", "unknown", "0 and 1", "epoch"],
)
def test_pages_of_odd_data_are_well_formed(tmp_path, odd):
    structure_of(page_of(scored_model(tmp_path, **odd)))


def test_many_attributes(tmp_path):
    names = [f"Attribute_{number}" for number in range(60)]
    page = page_of(scored_model(tmp_path, names, images=20))
    structure_of(page)
    assert "Only the 40 attributes whose pairs differ most are drawn." in page
    assert len(page) < 1e6


def test_names_are_text(tmp_path):
    page = page_of(scored_model(tmp_path, NAMES))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert "&lt;b&gt;" in page  # a file's name
    assert "<b>0" not in page


def test_equal_input_gives_equal_pages(tmp_path):
    model = scored_model(tmp_path, ["a", "b"], history={"loss": [0.7, 0.5]})
    assert page_of(model) == page_of(model)


def test_scores_baseline_and_warnings_are_stated(tmp_path):
    labels = np.array([[1, 0]] * 30 + [[0, 0]] * 10, "int8")
    probabilities = np.where(labels == 1, 0.9, 0.2)
    probabilities[0, 0] = 0.1
    model = scored_model(tmp_path, ["Smiling", "Bald"], labels, probabilities)
    page = page_of(model)
    assert "majority-class baseline 87.5\xa0%" in page  # the mean of 75 % and 100 %
    assert "98.8\xa0%" in page  # of the accuracies 39/40 and 1
    assert "All known labels are equal for <bdi>Bald</bdi>, so" in page.replace("\n", "")
    assert "serves to choose" not in page
    for split, warning in {
        "train": "was trained on these images",
        "validation": "to choose",
    }.items():
        other = scored_model(tmp_path, ["Smiling", "Bald"], labels, probabilities)
        other.metrics["split"] = split
        assert warning in page_of(other)


def test_subgroups_have_a_section_each(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (200, 2))
    probabilities = np.where(labels == 1, 0.8, 0.2)
    members = np.repeat([0, 1], 100)
    probabilities[:100, 0] = 0.1  # yes is never found in the first subgroup
    names = ["Smiling", "Young"]
    rates = subgroup_scores(
        probabilities, labels, names, Subgroups("<age>", ("old", "new"), members), resamples=50
    )
    model = scored_model(tmp_path, names, labels, probabilities, subgroups=[rates])
    page = page_of(model)
    structure_of(page)
    assert "Subgroups by &lt;age&gt;" in page
    assert "\N{MINUS SIGN}100.0" in page  # the gap of the true positive rate
    assert "<bdi>old</bdi> minus <bdi>new</bdi>" in page
    assert "the largest rate minus the smallest" not in page


@pytest.mark.parametrize(("third", "text"), [(5, "not compared"), (50, "the largest rate minus")])
def test_gaps_of_three_subgroups(tmp_path, third, text):
    labels = np.random.default_rng(0).integers(0, 2, (150 + third, 2))
    probabilities = np.where(labels == 1, 0.8, 0.2)
    members = np.repeat([0, 1, 2, -1], [99, 50, third, 1])
    names, subgroups = ["Smiling", "Young"], Subgroups("site", ("a", "b", "c"), members)
    rates = subgroup_scores(probabilities, labels, names, subgroups, resamples=50)
    page = page_of(scored_model(tmp_path, names, labels, probabilities, subgroups=[rates]))
    structure_of(page)
    assert text in page
    # The third is too small: the gaps are of the first two.
    assert ("the largest rate minus the smallest" in page) == (third == 50)
    assert "Not counted: 1 image of unknown subgroup." in page


def test_a_page_is_never_replaced(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        check_page_path(path)
    with pytest.raises(InputError, match="already exists"):
        write_page(path, "model", **_content(tmp_path))
    assert path.read_text() == "mine"
    with pytest.raises(InputError, match="no such folder"):
        check_page_path(tmp_path / "missing" / "report.html")


def _content(folder):
    from keras_faramtn.evaluation.metrics_file import versions
    from keras_faramtn.report.model_report import model_content

    about = {"title": "", "subtitle": "", "facts": [], "made": [], "command": ""}
    model = scored_model(folder, ["a"])
    return about | {"versions": versions()} | model_content(model)
