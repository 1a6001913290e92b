import pytest

from keras_faramtn.evaluation.calibration import FIGURES
from keras_faramtn.evaluation.calibration_summary import calibration_summary, measured_images


def _content(before, after, *, images=50, cross_fitted=False, note=None):
    """The content of calibration.json, with the calibration errors of two attributes."""
    errors = {"before": before, "after": after}
    means = {when: None if None in values else sum(values) / 2 for when, values in errors.items()}
    return {
        "fitted_on": {"split": "validation", "images": 1200},
        "measured_on": {"split": "test", "images": images, "cross_fitted": cross_fitted},
        **{
            when: dict.fromkeys(FIGURES, 0.5) | {"calibration_error": mean}
            for when, mean in means.items()
        },
        "attributes": {
            name: {
                "temperature": temperature,
                "note": note if name == "Bald" else None,
                **{when: {"calibration_error": errors[when][column]} for when in errors},
            }
            for column, (name, temperature) in enumerate([("Smiling", 1.5), ("Bald", 2.5)])
        },
    }


def test_temperatures_and_means():
    lines = calibration_summary(_content([0.04, 0.02], [0.01, 0.03])).splitlines()
    assert lines[0] == "Fitted on 1,200 images of the validation split."
    assert lines[1] == "2 temperatures from 1.50 to 2.50, median 2.00."
    assert lines[3] == (
        "Means over the attributes, on 50 images of the test split, which nothing was fitted on:"
    )
    assert " ".join(lines[4].split()) == "expected calibration error 3.00 % before 2.00 % after"
    assert lines[-1] == (
        "The calibration error falls by 1.00 percentage points, and for 1 of 2 attributes."
    )


def test_an_attribute_with_a_note_is_named():
    text = calibration_summary(_content([0.04, 0.02], [0.01, 0.03], note="not fitted"))
    assert "1 temperatures from 1.50 to 1.50" not in text
    assert "1 temperature from 1.50 to 1.50, median 1.50." in text
    assert "  Bald: temperature 2.5, not fitted." in text


@pytest.mark.parametrize("after", [[0.05, 0.03], [0.04, 0.02], [0.03995, 0.02]])
def test_an_error_that_does_not_fall_visibly(after):
    text = calibration_summary(_content([0.04, 0.02], after))
    assert text.splitlines()[-1].startswith("The calibration error does not fall. ")


def test_without_a_known_label():
    text = calibration_summary(_content([None, None], [None, None]))
    assert "calibration error  " not in text
    assert text.endswith("not defined: no label of these images is known.")


def test_which_images_were_measured():
    content = _content([0.1, 0.1], [0.1, 0.1], images=1, cross_fitted=True)
    assert measured_images(content) == (
        "1 image of the test split, each half with what was fitted on the other half"
    )
