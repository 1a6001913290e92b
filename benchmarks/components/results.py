"""Computes the results of the runs of `train.py`: tables and figures of each question.

python benchmarks/components/results.py --data FOLDER --plan crops --runs runs --to results
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from constant_gates import describe_gates
from plans import PLANS, Plan, Run, grouping
from scipy import stats
from train import check_folder, read_faces
from weighting_rules import RULES

from keras_faramtn.attributes import GROUPINGS
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE
from keras_faramtn.data.table import FaceTable
from keras_faramtn.evaluation.comparison_markdown import comparison_markdown
from keras_faramtn.evaluation.comparison_plot import comparison_figure
from keras_faramtn.evaluation.convergence import LEVELS, constant_losses, convergence_of_runs
from keras_faramtn.evaluation.convergence_plot import convergence_figure
from keras_faramtn.evaluation.cost import network_costs
from keras_faramtn.evaluation.machine import machine
from keras_faramtn.evaluation.metrics_file import versions
from keras_faramtn.evaluation.paired_comparison import paired_comparison
from keras_faramtn.evaluation.scores import positive_rates


class Variant(NamedTuple):
    """Runs that are compared, and which of their predictions."""

    network: str
    grouping: str = "face_regions"
    rule: str = "equal"
    predictions: str = "probabilities"

    @property
    def trained(self) -> tuple[str, str, str]:
        """The variant of the plan."""
        return self[:3]


Variants = dict[str, Variant]

_FARAMTN = Variant("FARAMTN")

# For each question: the variants by name; all are compared with the first.
QUESTIONS: dict[str, Variants] = {
    "components": {
        "FARAMTN": _FARAMTN,
        "plain": Variant("plain", "one"),
        "without_WSGSA": Variant("without_WSGSA"),
        "without_CGFF": Variant("without_CGFF"),
        "with_DWS": Variant("FARAMTN", rule="DWS"),
    },
    "wsgsa": {
        "gate_of_the_output": _FARAMTN,
        "none": Variant("without_WSGSA"),
        "gate_of_the_residual_branch": Variant("WSGSA_residual"),
        "pooling_by_group": Variant("WSGSA_spatial"),
        "gate_from_the_trunk": Variant("WSGSA_finer"),
        "gate_at_its_mean": Variant("FARAMTN", predictions="probabilities_of_mean_gates"),
    },
    "weighting": {
        "equal": _FARAMTN,
        **{rule: Variant("FARAMTN", rule=rule) for rule in RULES if rule != "equal"},
    },
    "grouping": {
        "face_regions": _FARAMTN,
        "one_group": Variant("FARAMTN", "one"),
        "random_groups": Variant("FARAMTN", "random"),
        "mcnn_aux": Variant("FARAMTN", "mcnn_aux"),
    },
}


def read_run(folder: Path, run: Run) -> dict[str, Any]:
    with np.load(folder / run.file) as content:
        return {key: content[key] for key in content.files}


def costs(plan: Plan, folder: Path) -> dict[str, Any]:
    """Parameters and step time of each network, measured side by side; kept in a file."""
    path = folder / "cost.json"
    variants = {variant[:2] for variant in plan.variants}
    if path.exists():
        content = json.loads(path.read_text())
        if set(content["networks"]) == {"-".join(variant) for variant in variants}:
            return content
    models = {
        "-".join(variant): plan.network(variant[0], grouping(variant[1], 0))
        for variant in sorted(variants)
    }
    networks = network_costs(models, batch_size=64, rounds=20)
    content = {"machine": machine(), "versions": versions(), "networks": networks}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return content


def results(
    plan: Plan, variants: Variants, seeds: list[int], runs: Path, table: FaceTable, about: Any
) -> dict[str, Any]:
    """The content of `comparison.json`, as `faramtn compare` writes it."""
    training, scored = table.split("train"), table.split("validation")
    rates = positive_rates(training.labels)
    recorded = {
        name: [read_run(runs, Run(*variant.trained, seed)) for seed in seeds]
        for name, variant in variants.items()
    }
    content = paired_comparison(
        {
            name: np.stack([each[variant.predictions] for each in recorded[name]])
            for name, variant in variants.items()
        },
        scored.labels,
        scored.attributes,
        [next(iter(variants))],
        training_rates=rates,
    )
    for name, variant in variants.items():
        content["networks"][name] |= about["networks"]["-".join(variant[:2])]
    constant = constant_losses(
        scored.labels, rates, GROUPINGS["face_regions"], batch_size=EVALUATION_BATCH_SIZE
    )
    convergence = {
        name: convergence_of_runs(
            [
                {
                    str(group): each["validation_losses"][:, column].tolist()
                    for column, group in enumerate(each["groups"])
                }
                for each in recorded[name]
            ],
            constant,
        )
        for name, variant in variants.items()
        if variant.grouping == "face_regions" and variant.predictions == "probabilities"
    }
    return {
        "data": about["data"],
        "split": about["split"],
        "seeds": seeds,
        "machine": about["machine"],
        "versions": about["versions"],
        "command": about["command"],
        **content,
        "convergence": {"levels": list(LEVELS), "networks": convergence},
    }


def spreads(networks: dict[str, Any]) -> str:
    """Differences of the groups' spread from the first network, with t intervals over the seeds."""
    first, *others = networks
    by_seed = {
        name: np.array([level["by_seed"] for level in each["spread_of_groups"]])
        for name, each in networks.items()
    }
    lines = [
        f"| spread minus {first}, in epochs | {' | '.join(f'at {100 * x:g} %' for x in LEVELS)} |",
        "|---|---|---|---|",
    ]
    for name in others:
        cells = []
        for differences in by_seed[name] - by_seed[first]:
            low, high = stats.ttest_1samp(differences, 0).confidence_interval()
            cells.append(f"{differences.mean():+.2f} [{low:+.2f}, {high:+.2f}]")
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return (
        "\n".join([*lines, "", "Paired by seed, with the 95 % t interval over the seeds."]) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plan", choices=PLANS, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    plan = PLANS[arguments.plan]
    arguments.to.mkdir(parents=True, exist_ok=True)
    table = read_faces(arguments.data)
    check_folder(arguments.runs, plan, table)
    about = costs(plan, arguments.to)
    name = arguments.data.resolve().name
    about |= {
        "data": name,
        "split": plan.scored,
        "command": f"python benchmarks/components/train.py --data {name} --plan {arguments.plan} "
        "--to runs",
    }
    for question, possible in QUESTIONS.items():
        variants = {key: each for key, each in possible.items() if each.trained in plan.variants}
        seeds = [
            seed
            for seed in range(100)
            if all(
                (arguments.runs / Run(*each.trained, seed).file).exists()
                for each in variants.values()
            )
        ]
        if len(variants) < 2 or not seeds:
            continue
        content = results(plan, variants, seeds, arguments.runs, table, about)
        text = comparison_markdown(content)
        if question == "weighting":
            text += "\n" + spreads(content["convergence"]["networks"])
        if question == "wsgsa":
            runs = [read_run(arguments.runs, Run(*_FARAMTN.trained, seed)) for seed in seeds]
            text += "\n" + describe_gates(runs)
        (arguments.to / f"{question}.md").write_text(text)
        (arguments.to / f"{question}.json").write_text(json.dumps(content, indent=2) + "\n")
        comparison_figure(content, arguments.to / f"{question}.png")
        if question == "weighting":
            convergence_figure(content["convergence"], arguments.to / "convergence.png")
        print(f"## {question}\n\n{text}")


if __name__ == "__main__":
    main()
