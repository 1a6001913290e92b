"""The sections of a page about a model that show the rates of subgroups, and their gaps."""

from typing import Any

from keras_faramtn.evaluation.gaps import Gap
from keras_faramtn.evaluation.subgroup_rates import RATES
from keras_faramtn.evaluation.subgroups import SubgroupScores
from keras_faramtn.report.page import text
from keras_faramtn.report.scored_model import ScoredModel
from keras_faramtn.report.tracks import axis_of

_RATES = tuple((rate, text(rate)) for rate in RATES if rate != "positive_rate")

_GAPS = 12  # of single attributes


def subgroups(model: ScoredModel) -> dict[str, Any]:
    """The variables of the sections about subgroups, one section for each column."""
    sections = [
        _subgroup_section(scores, f"subgroups_{number}")
        for number, scores in enumerate(model.subgroups, 1)
    ]
    return {"subgroup_sections": sections}


def _subgroup_section(scores: SubgroupScores, key: str) -> dict[str, Any]:
    titles = dict(_RATES)
    means = [
        ("mean", titles[rate], gap) for rate, gap in scores.mean_gaps.items() if gap is not None
    ]
    found = [
        (name, titles[rate], gap)
        for name, gaps in scores.gaps.items()
        for rate, gap in gaps.items()
        if gap is not None and gap.excludes_zero
    ]
    found = sorted(found, key=lambda each: -abs(each[2].value))[:_GAPS]
    ends = [end for _, _, gap in (*means, *found) for end in (gap.low, gap.high)]
    axis = axis_of(ends, always=[0.0], intervals=4)

    def row(attribute: str, rate: str, gap: Gap) -> dict[str, Any]:
        track = axis.track(gap.value, (gap.low, gap.high))
        return {"attribute": attribute, "rate": rate, "gap": gap, "track": track}

    return {
        "key": key,
        "scores": scores,
        "rates": _RATES,
        "axis": axis,
        "means": [row(*each) for each in means],
        "gaps": [row(*each) for each in found],
    }
