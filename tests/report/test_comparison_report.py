import copy
import json
from pathlib import Path

import pytest
from test_model_report import structure_of

from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.convergence import LEVELS, convergence_of_runs
from keras_faramtn.report.write_report import write_report

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "crops_comparison"


@pytest.fixture
def comparison():
    return json.loads((RESULT / "comparison.json").read_text())


def write(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(content))
    return folder


def page_about(folder, tmp_path):
    write_report(folder, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    structure_of(page)
    return page


def test_scores_differences_and_costs(tmp_path, comparison):
    page = page_about(write(tmp_path / "comparison", comparison), tmp_path)
    assert "Comparison of 6 networks" in page
    for each in comparison["networks"].values():
        assert f"{100 * each['accuracy']['mean']:.2f}" in page
        assert f"{each['parameters'] / 1e6:.2f} M" in page
    difference = comparison["differences"]["plain"]["traditional"]["average_precision"]
    assert f"{100 * difference['low']:+.2f}, {100 * difference['high']:+.2f}" in page
    assert "mobilenetv3_small" in page
    assert "Validation loss" not in page  # the runs are not there


def test_what_the_intervals_are_over(tmp_path, comparison):
    page = page_about(write(tmp_path / "five_seeds", comparison), tmp_path)
    assert "interval over images and seeds" in page
    assert "does not include" not in page
    assert "train a third" not in page
    (tmp_path / "report.html").unlink()
    comparison["seeds"] = comparison["seeds"][:2]
    page = page_about(write(tmp_path / "two_seeds", comparison), tmp_path)
    assert "train a third" in page
    (tmp_path / "report.html").unlink()
    del comparison["interval_over"]  # as in files of earlier versions
    page = page_about(write(tmp_path / "old", comparison), tmp_path)
    assert "1,000 resamples of the images; it does not include the variation between seeds" in page


def test_training_curves_of_the_runs(tmp_path, comparison):
    folder = write(tmp_path / "comparison", comparison)
    for seed, loss in ((0, 0.5), (1, 0.7)):
        run = folder / "runs" / "plain" / f"seed_{seed}"
        run.mkdir(parents=True)
        (run / "history.csv").write_text(f"epoch,val_loss\n0,1.0\n1,{loss}\n")
    page = page_about(folder, tmp_path)
    assert "Validation loss" in page
    assert "goes from 1 in the first epoch to 0.6 in the last" in page  # the mean of the seeds


def test_a_damaged_history_is_left_out_of_the_training_curves(tmp_path, comparison, caplog):
    folder = write(tmp_path / "comparison", comparison)
    for network, text in (
        ("plain", "epoch,val_loss\n0,1.0\n1"),
        ("FARAMTN", "epoch,val_loss\n0,1\n"),
    ):
        run = folder / "runs" / network / "seed_0"
        run.mkdir(parents=True)
        (run / "history.csv").write_text(text)
    page = page_about(folder, tmp_path)
    assert page.count("Validation loss</h3>") == 1
    (message,) = caplog.messages
    assert "plain/seed_0/history.csv: this history can't be read" in message
    assert message.endswith("The training curves leave out plain.")


def test_convergence_of_the_groups(tmp_path, comparison):
    del comparison["convergence"]
    assert "Convergence of the groups" not in page_about(
        write(tmp_path / "old", comparison), tmp_path
    )
    (tmp_path / "report.html").unlink()
    constant = {"eyes": 1.0, "<hair>": 1.0}
    early = {"eyes": [0.5, 0.2, 0.0], "<hair>": [1.0, 0.5, 0.0]}
    never = {"eyes": [0.5, 0.2, 0.0], "<hair>": [1.5, 1.2, 1.1]}
    networks = {
        "FARAMTN": convergence_of_runs([early, early], constant),
        "without_DWS": convergence_of_runs([never, never], constant),
    }
    comparison["convergence"] = {"levels": list(LEVELS), "networks": networks}
    page = page_about(write(tmp_path / "new", comparison), tmp_path)
    assert '<section id="convergence"' in page
    # Epochs 1 and 2 for 50 %, 2 and 2.6 for 80 %, 2.75 and 2.9 for 95 %.
    assert "at 50 %: 0.50 ± 0.00; at 80 %: 0.30 ± 0.00; at 95 %: 0.07 ± 0.00." in page
    assert "<td>1.00 ± 0.00</td><td>2.00 ± 0.00</td><td>2.75 ± 0.00</td>" in page
    assert "<td>-</td><td>-</td><td>-</td>" in page
    assert "better than constant in no run: &lt;hair&gt;" in page
    assert "<p>Better than constant in no run: <bdi>&lt;hair&gt;</bdi>" in page
    assert "largest improvement" in page
    assert "different schedules" not in page


def test_convergence_with_different_numbers_of_epochs_and_one_seed(tmp_path, comparison):
    losses = {"eyes": [0.5, 0.2, 0.0], "hair": [0.9, 0.5, 0.0]}
    shorter = {group: each[:2] for group, each in losses.items()}
    constant = dict.fromkeys(losses, 1.0)
    networks = {
        "FARAMTN": convergence_of_runs([losses], constant),
        "short_run": convergence_of_runs([shorter], constant),
    }
    comparison["convergence"] = {"levels": list(LEVELS), "networks": networks}
    page = page_about(write(tmp_path / "comparison", comparison), tmp_path)
    assert "spreads of different schedules can&#39;t be compared" in page
    assert "<bdi>short run</bdi> (2 epochs)</figcaption>" in page
    assert '<th scope="row"><bdi>FARAMTN</bdi></th><td>3</td>' in page
    assert "where the groups reach 50, 80 and 95 %; the spread" in page
    assert "All are means" not in page


def test_a_damaged_convergence(tmp_path, comparison):
    comparison["convergence"] = {"levels": [0.5], "networks": {"plain": {"groups": {}}}}
    folder = write(tmp_path / "comparison", comparison)
    with pytest.raises(InputError, match="not a result of `faramtn compare`"):
        write_report(folder, tmp_path / "report.html")


def test_names_and_scores_that_are_not_defined(tmp_path, comparison):
    changed = copy.deepcopy(comparison)
    changed["data"] = "<data>"
    changed["networks"]["plain"]["accuracy"] = {
        "mean": None,
        "spread": None,
        "by_seed": [None, None],
    }
    for by_name in changed["differences"].values():
        for each in by_name.values():
            each["accuracy"] |= {"mean": None, "low": None, "high": None, "by_seed": [None, None]}
    page = page_about(write(tmp_path / "comparison", changed), tmp_path)
    assert "&lt;data&gt;" in page


def test_one_seed(tmp_path, comparison):
    changed = copy.deepcopy(comparison)
    changed["seeds"] = [0]
    entries = [*changed["networks"].values()]
    entries += [each for by_name in changed["differences"].values() for each in by_name.values()]
    for entry in entries:
        for key in ("accuracy", "balanced_accuracy", "average_precision"):
            entry[key] |= {"spread": None, "by_seed": entry[key]["by_seed"][:1]}
    assert "1 seed for each network" in page_about(write(tmp_path / "one", changed), tmp_path)


@pytest.mark.parametrize("content", [{}, [], {"networks": {}}, {"networks": 3, "seeds": []}])
def test_other_files(tmp_path, content):
    folder = write(tmp_path / "comparison", content)
    with pytest.raises(InputError, match="not a result of `faramtn compare`"):
        write_report(folder, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("options", [{"data": Path()}, {"split": "validation"}, {"by": ["Male"]}])
def test_data_is_for_models_only(tmp_path, comparison, options):
    folder = write(tmp_path / "comparison", comparison)
    with pytest.raises(InputError, match="leave out --data"):
        write_report(folder, tmp_path / "report.html", **options)


def test_what_is_missing_is_named(tmp_path, comparison):
    del comparison["seeds"]
    with pytest.raises(InputError, match=r"faramtn compare`: 'seeds' is missing\.$"):
        write_report(write(tmp_path / "comparison", comparison), tmp_path / "report.html")
