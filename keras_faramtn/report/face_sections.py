"""The sections of a page about a model that show faces: mistakes, labels in doubt, evidence."""

from typing import Any

from keras_faramtn.report.label_noise import LabelSuspects, label_suspects
from keras_faramtn.report.looks_at import mean_attention, occluded_faces
from keras_faramtn.report.mistakes import SHOWN, Case, spread, worst_mistakes
from keras_faramtn.report.scored_model import ScoredModel
from keras_faramtn.report.thumbnails import thumbnail

_KINDS = ((0, "Predicted, but labelled no"), (1, "Missed, but labelled yes"))


def mistakes_and_suspects(model: ScoredModel) -> dict[str, Any]:
    """The variables of the sections with the worst mistakes, and with labels in doubt."""
    mistakes = {
        label: worst_mistakes(model.probabilities, model.labels, model.thresholds, label=label)
        for label, _ in _KINDS
    }
    kinds = [
        {"heading": heading, "cards": [_card(model, case) for case in mistakes[label]]}
        for label, heading in _KINDS
    ]
    shown = {(case.row, case.column) for cases in mistakes.values() for case in cases}
    return {"mistakes": kinds, "suspects": _suspects(model, shown)}


def _card(model: ScoredModel, case: Case) -> dict[str, Any]:
    path = model.paths[case.row]
    return {
        "image": thumbnail(path),
        "file": path.name,
        "attribute": model.groups.attributes[case.column],
        "label": "yes" if model.labels[case.row, case.column] == 1 else "no",
        "probability": float(model.probabilities[case.row, case.column]),
    }


def _suspects(model: ScoredModel, mistakes: set[tuple[int, int]]) -> dict[str, Any] | None:
    """The labels in doubt; None if cleanlab is not installed.

    Args:
        model: the model and its predictions.
        mistakes: the rows and columns of mistakes that are shown already.
    """
    try:
        found = label_suspects(model.probabilities, model.labels)
    except ModuleNotFoundError:
        return None
    in_doubt = {(int(row), each.column) for each in found for row in each.rows}
    cases = spread((_cases(each, model, mistakes) for each in found), SHOWN)
    return {
        "above": len(in_doubt & mistakes),
        "mistakes": len(mistakes),
        "total": len(in_doubt),
        "known": sum(each.known for each in found),
        "cards": [_card(model, case) for case in cases],
        "rows": [
            {
                "name": model.groups.attributes[each.column],
                "known": each.known,
                "count": len(each.rows),
                "yes": int((model.labels[each.rows, each.column] == 1).sum()),
            }
            for each in sorted(found, key=lambda each: -len(each.rows) / each.known)
            if len(each.rows)
        ],
    }


def _cases(suspects: LabelSuspects, model: ScoredModel, shown: set[tuple[int, int]]) -> list[Case]:
    """The suspects that are not shown yet, by how little the model believes the label."""
    column = suspects.column
    return [
        Case(
            int(row),
            column,
            float(abs(model.labels[row, column] - model.probabilities[row, column])),
        )
        for row in suspects.rows
        if (int(row), column) not in shown
    ]


def looks_at(model: ScoredModel) -> dict[str, Any]:
    """The variables of the section with what the network looks at."""
    if model.network is None:
        return {"looks_at": None}
    attention = mean_attention(model.network, model.paths)
    faces = occluded_faces(
        model.network,
        model.paths,
        model.probabilities,
        model.labels,
        model.groups.attributes,
        _most_typical(model),
    )
    rows = zip(attention.maps, attention.to_groups, strict=True) if attention else ()
    return {"looks_at": {"attention": attention, "faces": faces, "rows": list(rows)}}


def _most_typical(model: ScoredModel) -> list[str]:
    """The attribute of each group with the highest balanced accuracy, the highest first."""
    scores = model.metrics["attributes"]

    def balanced(name: str) -> float:
        return scores[name]["balanced_accuracy"] or 0.0

    return sorted((max(members, key=balanced) for members in model.groups.values()), key=balanced)[
        ::-1
    ]
