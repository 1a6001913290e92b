"""The tables of a comparison of networks."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_faramtn.evaluation.convergence import (
    DIFFERENT_EPOCHS,
    epochs_differ,
    in_epochs,
    levels_as_text,
    number_of_epochs,
    undefined_groups,
)
from keras_faramtn.evaluation.machine import describe_machine
from keras_faramtn.evaluation.metrics_file import describe_versions
from keras_faramtn.evaluation.paired_comparison import (
    COMPARED_SCORES,
    IMAGES,
    IMAGES_AND_SEEDS,
    excludes_zero,
    interval_over,
)
from keras_faramtn.evaluation.undefined import percent

_EXPLANATIONS = {
    IMAGES: "The interval is over {:,} resamples of the images, and does not include the "
    "variation between seeds.",
    IMAGES_AND_SEEDS: "The interval includes the variation between images ({:,} resamples) and "
    "that between seeds.",
}


def comparison_markdown(content: Mapping[str, Any]) -> str:
    """A comparison as Markdown that is also readable in a terminal.

    Args:
        content: the result of `paired_comparison`, with `parameters` and `train_step_ms` added to
            each of `networks`, and the keys `data`, `split`, `seeds`, `machine`, `versions` and
            `command`; `convergence`, as in `convergence_figure`, if the networks have groups.
    """
    networks = content["networks"]
    rows = [("network", "parameters", "train step", *map(_title, COMPARED_SCORES))]
    rows += [
        (
            _title(name),
            f"{each['parameters'] / 1e6:.2f} M",
            f"{each['train_step_ms']:.0f} ms",
            *(_with_spread(each[key]) for key in COMPARED_SCORES),
        )
        for name, each in networks.items()
    ]
    seeds = content["seeds"]
    several = len(seeds) > 1
    spread = " ± standard deviation over the seeds" if several else ""
    paragraphs = [
        f"Scores in percent on {content['images']:,} images ({content['split']} split of "
        f"{content['data']}), mean of {len(seeds)} seed{'s' if several else ''}{spread}. "
        "The majority-class baseline has an accuracy of "
        f"{percent(content['majority_accuracy'], 2)}.",
        _table(rows),
    ]
    for other, differences in content["differences"].items():
        rows = [(f"minus {_title(other)}", *map(_title, COMPARED_SCORES))]
        rows += [
            (_title(name), *(_with_interval(each[key]) for key in COMPARED_SCORES))
            for name, each in differences.items()
        ]
        paragraphs.append(_table(rows))
    over = interval_over(content)
    paragraphs += [
        f"Differences in percentage points{spread}, with the 95 % interval over {over}; "
        "* marks an interval that excludes zero. "
        + _EXPLANATIONS[over].format(content["resamples"]),
        *(_convergence(content["convergence"]) if "convergence" in content else []),
        f"Seeds {', '.join(map(str, seeds))}. "
        f"{describe_machine(content['machine'])}. {describe_versions(content['versions'])}.",
        f"`{content['command']}`",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _convergence(convergence: Mapping[str, Any]) -> list[str]:
    levels, networks = convergence["levels"], convergence["networks"]
    differ = epochs_differ(networks)
    headings = [*(["epochs"] if differ else []), *(f"at {100 * level:g} %" for level in levels)]
    rows = [("spread of the groups", *headings)]
    rows += [
        (
            _title(name),
            *([str(number_of_epochs(each))] if differ else []),
            *map(in_epochs, each["spread_of_groups"]),
        )
        for name, each in networks.items()
    ]
    several = any(
        each["spread"] is not None
        for network in networks.values()
        for each in network["spread_of_groups"]
    )
    over_seeds = ", mean ± standard deviation over the seeds" if several else ""
    return [
        _table(rows),
        "Do the groups converge together? The spread is the standard deviation over the groups, in "
        f"epochs, of the epoch at which they reach {levels_as_text(levels)} of the largest "
        f"improvement of their validation loss{over_seeds}. It is small if they converge together."
        + (f" {DIFFERENT_EPOCHS}" if differ else ""),
        *_undefined(networks),
    ]


def _undefined(networks: Mapping[str, Any]) -> list[str]:
    """Why the spread of some networks isn't defined; empty if all are."""
    reasons = [
        f"{_title(name)} ({'; '.join(whys)})"
        for name, each in networks.items()
        if (
            whys := [
                f"{why}: {_title(', '.join(groups))}"
                for why, groups in undefined_groups(each).items()
            ]
        )
    ]
    if not reasons:
        return []
    return [
        "A spread is defined only if every group becomes better than a constant prediction, which "
        f"ignores the image, in every run. It is not (-) in: {', '.join(reasons)}."
    ]


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = [
        ("-" * (width + 2)) if column == 0 else ("-" * (width + 1) + ":")
        for column, width in enumerate(widths)
    ]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def _title(name: str) -> str:
    return name.replace("_", " ")


def _spread(each: Mapping[str, Any]) -> str:
    return "" if each["spread"] is None else f" ± {100 * each['spread']:.2f}"


def _with_spread(each: Mapping[str, Any]) -> str:
    return percent(each["mean"], 2) + _spread(each)


def _with_interval(each: Mapping[str, Any]) -> str:
    if each["mean"] is None or each["low"] is None:
        return "-"
    mark = "*" if excludes_zero(each) else " "
    low, high = (f"{100 * each[end]:+.2f}" for end in ("low", "high"))
    return f"{100 * each['mean']:+.2f} [{low}, {high}]{mark}{_spread(each)}"
