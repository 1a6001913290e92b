import re
import xml.etree.ElementTree as ET

from keras_faramtn.report.training_curves import (
    small_multiples,
    training_panels,
    weights_by_group,
)

HISTORY = {
    "loss": [1.0, 0.5],
    "val_loss": [1.1, 0.75],
    "accuracy": [0.5, float("nan")],
    "dws_mouth": [1.0, 1.5],
    "dws_eyes": [1.0, 0.5],
}


def test_panels_of_what_the_history_has():
    panels = training_panels(HISTORY)
    assert list(panels) == ["Loss", "Mean accuracy"]
    assert "Validation goes from 1.1 in the first epoch to 0.75 in the last." in panels["Loss"]


def test_figures_follow_the_colours_of_the_page_and_load_nothing():
    figures = [*training_panels(HISTORY).values()]
    figures += small_multiples(weights_by_group(HISTORY), "dws", "Weight").values()
    for figure in figures:
        root = ET.fromstring(figure)
        assert root.find("title").text
        assert root.find("desc").text
        assert not re.search(r"#[0-9a-f]{6}|DejaVu|<style|https?:", figure)
        assert "var(--blue)" in figure
    ids = [each for figure in figures for each in re.findall(r'\bid="([^"]*)"', figure)]
    assert len(set(ids)) == len(ids)
    for figure in figures:
        used = set(re.findall(r'href="#([^"]*)"', figure)) | set(
            re.findall(r"url\(#(.*?)\)", figure)
        )
        assert used <= set(ids)
