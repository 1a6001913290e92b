"""The complete command `faramtn compare`, interrupted twice and resumed, on small faces."""

import csv
import json
import shutil
from collections import Counter

import numpy as np
import pytest
import yaml
from PIL import Image
from small_network import GROUPS, in_place_of_faramtn
from typer.testing import CliRunner

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.callbacks import Checkpoint
from keras_faramtn.cli import app
from keras_faramtn.data import pipeline
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import evaluate
from keras_faramtn.evaluation.scores import score
from keras_faramtn.experiments import compare, run
from keras_faramtn.synthetic.dataset import synthesize

pytestmark = pytest.mark.slow

RECIPE = {
    "data": {"image_size": [48, 32], "augment": False},
    "model": {"backbone": "mobilenetv3_small", "groups": GROUPS},
    "training": {"epochs": 2, "batch_size": 24},
    "variants": {"plain": {}, "fast": {"training": {"learning_rate": 0.02}}},
    "seeds": [3, 1],
    "against": ["plain"],
}
# Of the small network: convolution, normalisation, 40 outputs.
PARAMETERS = 8 * 8 * 3 * 8 + 4 * 8 + 40 * (8 + 1)
RUNS = ["plain/seed_3", "fast/seed_3", "plain/seed_1", "fast/seed_1"]


def _write(folder, **changes):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes, sort_keys=False))
    return path


def _interrupt(*arguments, **keywords):
    raise KeyboardInterrupt


def _modification_times(folder):
    """The modification time of each file of the runs."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in (folder / "runs").rglob("*")
        if path.is_file() and path.suffix != ".yaml"
    }


class InterruptedComparison:
    """One comparison, interrupted after its first training and again during its second seed."""

    def __init__(self, folder):
        self.data = folder / "faces"
        synthesize(self.data, 60, image_size=(48, 36))
        self.recipe = _write(folder)
        self.folder = folder / "compared"
        train, trained = compare.train_table, []
        self.calls = Counter()

        def recorded(recipe, table, run_folder, **keywords):
            train(recipe, table, run_folder, **keywords)
            trained.append(str(run_folder.relative_to(self.folder / "runs")))

        def count(patch, module, name):
            function = getattr(module, name)

            def counted(*arguments, **keywords):
                self.calls[name] += 1
                return function(*arguments, **keywords)

            patch.setattr(module, name, counted)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compare, "train_table", recorded)
            count(patch, compare, "check_data")
            count(patch, pipeline, "decode_and_resize")  # called when a dataset is built
            count(patch, evaluate, "_predict")
            # Trained, but interrupted before its predictions are written.
            with pytest.MonkeyPatch.context() as interruption:
                interruption.setattr(run, "evaluate_split", _interrupt)
                self.interrupt()
            self.after_first = _modification_times(self.folder)
            # The first seed is complete; the next run is interrupted in its second epoch.
            with pytest.MonkeyPatch.context() as interruption:
                batches = iter(range(3))

                def interrupt_batch(self, batch, logs=None):
                    if len(trained) == 2 and next(batches) == 2:
                        raise KeyboardInterrupt

                interruption.setattr(Checkpoint, "on_train_batch_end", interrupt_batch)
                self.interrupt()
            self.after_second = _modification_times(self.folder)
            self.partial = json.loads((self.folder / "comparison.json").read_text())
            self.run()
            self.trained = trained.copy()
            self.after_all = _modification_times(self.folder)
            self.content = json.loads((self.folder / "comparison.json").read_text())

    def run(self):
        with in_place_of_faramtn():
            compare.run_comparison(self.recipe, self.data, self.folder)

    def interrupt(self):
        with pytest.raises(KeyboardInterrupt):
            self.run()


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return InterruptedComparison(tmp_path_factory.mktemp("comparison"))


def _predictions(compared, run):
    with np.load(compared.folder / "runs" / run / "predictions.npz") as content:
        return {key: content[key] for key in content.files}


def test_each_run_is_trained_once_and_a_finished_run_is_not_changed(compared):
    assert compared.trained == RUNS
    assert "plain/seed_3/predictions.npz" not in {
        name.removeprefix("runs/") for name in compared.after_first
    }
    for name in ("checkpoint.keras", "history.csv"):  # no epoch was repeated
        name = f"runs/plain/seed_3/{name}"
        assert compared.after_first[name] == compared.after_second[name]
    finished = {
        name: written
        for name, written in compared.after_second.items()
        if not name.startswith("runs/plain/seed_1/")
    }
    assert finished.items() <= compared.after_all.items()
    with (compared.folder / "runs/plain/seed_1/history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    for each in RUNS:
        assert {f"runs/{each}/{name}" for name in ("predictions.npz", "metrics.json")} <= set(
            compared.after_all
        )


def test_data_is_read_once_per_command_and_predicted_once_per_run(compared):
    # Three commands: two that were interrupted, and the last.
    assert compared.calls == {
        "check_data": 3,
        "decode_and_resize": 3,
        "_predict": len(RUNS),
    }


def test_an_interrupted_comparison_has_the_results_of_its_complete_seeds(compared):
    assert compared.partial["seeds"] == [3]
    assert compared.content["seeds"] == [3, 1]
    for name, each in compared.partial["networks"].items():
        complete = compared.content["networks"][name]
        for key in ("accuracy", "balanced_accuracy", "average_precision"):
            assert each[key]["by_seed"] == complete[key]["by_seed"][:1]
        assert each["train_step_ms"] == complete["train_step_ms"]  # measured once


def test_results_match_the_saved_predictions(compared):
    for variant, found in compared.content["networks"].items():
        assert found["parameters"] == PARAMETERS
        assert found["train_step_ms"] > 0
        scores = []
        for seed in (3, 1):
            saved = _predictions(compared, f"{variant}/seed_{seed}")
            assert saved["attributes"].tolist() == list(CELEBA_ATTRIBUTES)
            assert len(saved["images"]) == compared.content["images"] == 6
            scores.append(score(saved["probabilities"], saved["labels"], CELEBA_ATTRIBUTES))
            # Equal to the evaluation after each run.
            metrics = json.loads(
                (compared.folder / "runs" / variant / f"seed_{seed}/metrics.json").read_text()
            )
            assert metrics["means"]["accuracy"] == pytest.approx(scores[-1].mean.accuracy, 1e-6)
        by_seed = [each.mean.accuracy for each in scores]
        assert found["accuracy"]["by_seed"] == pytest.approx(by_seed, abs=1e-6)
    one, other = (_predictions(compared, run)["probabilities"] for run in RUNS[:2])
    assert np.abs(one - other).max() > 1e-4  # the variant's learning rate was used


def test_the_results_record_command_data_machine_and_recipe(compared):
    content = compared.content
    assert content["command"] == f"faramtn compare {compared.recipe} --data faces"
    assert (content["data"], content["split"]) == ("faces", "validation")
    assert content["machine"]["cores"] >= 1
    assert {"keras", "tensorflow", "numpy"} <= set(content["versions"])
    assert content["recipe"]["variants"] == RECIPE["variants"]
    text = (compared.folder / "comparison.md").read_text()
    assert "| plain " in text
    assert "| fast " in text
    with Image.open(compared.folder / "comparison.png") as image:
        assert image.format == "PNG"


def test_the_convergence_of_the_groups_follows_from_the_histories(compared):
    convergence = compared.content["convergence"]
    assert convergence["levels"] == [0.5, 0.8, 0.95]
    assert list(convergence["networks"]) == ["plain", "fast"]
    table = read_dataset(compared.data)
    known = {split: table.split(split).labels for split in ("train", "validation")}
    rate = np.clip((known["train"] == 1).mean(axis=0), 1e-3, 1 - 1e-3)
    entropy = -np.log(np.where(known["validation"] == 1, rate, 1 - rate)).mean(axis=0)
    for variant, each in convergence["networks"].items():
        assert list(each["groups"]) == list(GROUPS)
        for group, found in each["groups"].items():
            members = [CELEBA_ATTRIBUTES.index(name) for name in GROUPS[group]]
            constant = entropy[members].mean()
            assert found["constant_loss"] == pytest.approx(constant, abs=1e-6)
            for seed, shares in zip((3, 1), found["shares_by_seed"], strict=True):
                file = compared.folder / f"runs/{variant}/seed_{seed}/history.csv"
                losses = [
                    float(row[f"val_{group}_loss"])
                    for row in csv.DictReader(file.read_text().splitlines())
                ]
                if min(losses) < constant:
                    improvement = constant - min(losses)
                    expected = [0, *((constant - loss) / improvement for loss in losses)]
                    assert shares == pytest.approx(expected, rel=1e-4, abs=1e-6)
                else:
                    assert shares == [None] * 3
        epochs = [
            [epoch["by_seed"] for epoch in group["epochs"]] for group in each["groups"].values()
        ]
        for level, spread in enumerate(each["spread_of_groups"]):
            for seed, value in enumerate(spread["by_seed"]):
                of_groups = [group[level][seed] for group in epochs]
                if None in of_groups:
                    assert value is None
                else:  # two groups
                    assert value == pytest.approx(abs(of_groups[0] - of_groups[1]) / 2, abs=2e-6)
    assert "| spread of the groups | at 50 % | at 80 % | at 95 % |" in " ".join(
        (compared.folder / "comparison.md").read_text().split()
    )
    with Image.open(compared.folder / "convergence.png") as image:
        assert image.format == "PNG"


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ("epoch,loss,val_hair_loss,val_other_loss\n0,1.0,0.5,0.5\n", "for 1 epochs instead of 2"),
        ("epoch,loss,val_loss\n0,1.0,1.0\n1,1.0,1.0\n", "for 0 epochs instead of 2"),
        ("epoch,loss,val_hair_loss,val_other_loss\n0,1.0,0.5,0.5\n1,0.9,0.4", "can't be read"),
    ],
)
def test_groups_with_known_losses(compared, tmp_path, monkeypatch, caplog, damaged, message):
    """Losses in place of those of the tiny networks, which are hardly better than a constant."""
    monkeypatch.setattr(compare, "train_table", _interrupt)
    folder = tmp_path / "compared"
    shutil.copytree(compared.folder, folder)
    groups = compared.content["convergence"]["networks"]["fast"]["groups"]
    constant = {group: each["constant_loss"] for group, each in groups.items()}
    remaining = {3: {"hair": (0.2, 0), "other": (1, 0)}}
    remaining[1] = dict.fromkeys(GROUPS, (0.2, 0))
    for seed, by_group in remaining.items():
        rows = ["epoch,loss," + ",".join(f"val_{group}_loss" for group in by_group)]
        for epoch in range(2):
            losses = [each[epoch] * constant[group] for group, each in by_group.items()]
            rows.append(",".join(map(str, [epoch, 1.0, *losses])))
        (folder / f"runs/fast/seed_{seed}/history.csv").write_text("\n".join(rows) + "\n")
    (folder / "runs/plain/seed_1/history.csv").write_text(damaged)
    with in_place_of_faramtn():
        compare.run_comparison(compared.recipe, compared.data, folder)
    found = json.loads((folder / "comparison.json").read_text())["convergence"]["networks"]
    assert list(found) == ["fast"]
    epochs = [each["by_seed"] for each in found["fast"]["groups"]["other"]["epochs"]]
    np.testing.assert_allclose(epochs, [[1.5, 0.625], [1.8, 1], [1.95, 1.75]], atol=1e-4)
    spreads = [each["by_seed"] for each in found["fast"]["spread_of_groups"]]
    np.testing.assert_allclose(spreads, [[0.4375, 0], [0.4, 0], [0.1, 0]], atol=1e-4)
    assert (
        "| fast                 | 0.22 ± 0.31 | 0.20 ± 0.28 | 0.05 ± 0.07 |"
        in (folder / "comparison.md").read_text()
    )
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "plain/seed_1/history.csv: this history" in warning
    assert message in warning
    assert "or remove " in warning
    assert warning.endswith("The convergence of the groups leaves out plain.")


def test_without_groups_there_is_no_convergence(compared, tmp_path):
    folder = tmp_path / "compared"
    shutil.copytree(compared.folder, folder)
    assert (folder / "convergence.png").exists()
    for file in folder.glob("runs/*/*/history.csv"):
        file.unlink()
    with in_place_of_faramtn():
        compare.run_comparison(compared.recipe, compared.data, folder)
    assert "convergence" not in json.loads((folder / "comparison.json").read_text())
    assert "spread of the groups" not in (folder / "comparison.md").read_text()
    assert not (folder / "convergence.png").exists()


def test_repeating_the_command_trains_nothing_and_prints_the_table(compared, monkeypatch):
    monkeypatch.setattr(compare, "train_table", _interrupt)
    before = (compared.folder / "comparison.json").read_text()
    arguments = ["compare", compared.recipe, "--data", compared.data, "--to", compared.folder]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert (compared.folder / "comparison.md").read_text() in result.stdout
    assert (compared.folder / "comparison.json").read_text() == before
    assert _modification_times(compared.folder) == compared.after_all


@pytest.mark.parametrize("seeds", [[3, 1], [2]])
def test_different_settings_are_refused_even_for_other_seeds(compared, tmp_path, seeds):
    path = _write(tmp_path, training=RECIPE["training"] | {"epochs": 3}, seeds=seeds)
    with pytest.raises(InputError, match=r"plain.seed_\d\.yaml: the settings of this run differ"):
        compare.run_comparison(path, compared.data, compared.folder)
    assert _modification_times(compared.folder) == compared.after_all


def test_a_comparison_is_repeated_after_its_data_and_cache_were_moved(
    compared, tmp_path, monkeypatch
):
    monkeypatch.setattr(compare, "train_table", _interrupt)
    folder, data = tmp_path / "compared", tmp_path / "moved"
    shutil.copytree(compared.folder, folder)
    shutil.copytree(compared.data, data)
    commented = "# my comment\n" + (folder / "comparison.yaml").read_text()
    (folder / "comparison.yaml").write_text(commented)
    paths = {"folder": str(data), "cache": str(tmp_path / "cache")}
    recipe = _write(tmp_path, data=RECIPE["data"] | paths)
    compare.run_comparison(recipe, None, folder)
    assert (folder / "comparison.yaml").read_text() == commented
    costs = [json.loads((each / "cost.json").read_text()) for each in (folder, compared.folder)]
    assert costs[0] == costs[1]  # not measured again


def test_an_edited_recipe_that_is_not_yaml_is_reported(compared, tmp_path):
    folder = tmp_path / "compared"
    shutil.copytree(compared.folder, folder)
    with (folder / "comparison.yaml").open("a") as file:
        file.write("]")
    with pytest.raises(InputError, match=r"comparison\.yaml, line \d+: cannot read this file"):
        compare.run_comparison(compared.recipe, compared.data, folder)


def test_other_variants_are_refused(compared, tmp_path):
    path = _write(tmp_path, variants={"a": {}, "b": {}}, against=["a"])
    before = (compared.folder / "comparison.yaml").read_text()
    with pytest.raises(InputError, match="contains a comparison of other variants"):
        compare.run_comparison(path, compared.data, compared.folder)
    assert (compared.folder / "comparison.yaml").read_text() == before


def test_different_labels_of_training_images_are_refused(compared, tmp_path):
    other = tmp_path / "faces"
    shutil.copytree(compared.data, other)
    table = read_dataset(other)
    lines = table.source.read_text().splitlines()
    line = table.split("train").lines[0] - 1
    lines[line] = lines[line].replace("-1", " 1", 1)
    table.source.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"predictions\.npz: .*trained or scored on other"):
        compare.run_comparison(compared.recipe, other, compared.folder)


def test_a_missing_teacher_is_refused_before_anything_is_trained(tmp_path):
    distilled = {"training": {"teacher": {"model": "missing.keras"}}}
    path = _write(tmp_path, variants=RECIPE["variants"] | {"distilled": distilled})
    message = r"mine\.yaml: distilled: training\.teacher\.model: file missing\.keras does not exist"
    with pytest.raises(InputError, match=message):
        compare.run_comparison(path, tmp_path, tmp_path / "compared")
    assert not (tmp_path / "compared").exists()


def test_different_images_are_refused(compared, tmp_path):
    other = tmp_path / "faces"
    synthesize(other, 60, image_size=(48, 36), seed=1)
    with pytest.raises(InputError, match=r"predictions\.npz: .* on other images or labels"):
        compare.run_comparison(compared.recipe, other, compared.folder)


def test_an_unrelated_folder_is_not_changed(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        compare.run_comparison(_write(tmp_path), tmp_path, folder)
    assert [path.name for path in folder.iterdir()] == ["chapter.txt"]


def test_a_data_set_is_required(tmp_path):
    with pytest.raises(InputError, match=r"data\.folder is not set; set it or pass --data"):
        compare.run_comparison(_write(tmp_path), None, tmp_path / "compared")
    assert not (tmp_path / "compared").exists()
