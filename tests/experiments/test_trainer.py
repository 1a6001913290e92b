import contextlib
import csv
import io
import logging
import re

import keras
import numpy as np
import pytest
from conftest import random_labels, write_celeba
from small_network import GROUPS, SIZE
from tiny_backbone import in_place_of_mobilenet

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.callbacks import Checkpoint
from keras_faramtn.data.pipeline import make_dataset
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.recipe import Recipe, write_recipe
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.experiments.trainer import build_model, fit_model
from keras_faramtn.models import groups_of, inference_model, load_model


@pytest.fixture(scope="module", autouse=True)
def _tiny_backbone():
    with in_place_of_mobilenet():
        yield


def _recipe(network="faramtn", **training):
    weighting = None if network == "multi_label" else {}
    return Recipe.model_validate(
        {
            "data": {"image_size": list(SIZE)},
            "model": {"network": network, "backbone": "mobilenetv3_small", "groups": GROUPS},
            "training": {
                "epochs": 2,
                "batch_size": 8,
                "dynamic_weighting": weighting,
                **training,
            },
        }
    )


def _datasets(folder, recipe, model):
    table = read_celeba(folder)
    batch = recipe.training.batch_size
    return [
        make_dataset(table.split(split), groups_of(model), SIZE, batch, shuffle=split == "train")
        for split in ("train", "validation")
    ]


class Run:
    """One small training, shared by the tests of its results."""

    def __init__(self, data, folder, network):
        recipe = _recipe(network, epochs=5, warmup=0.2, learning_rate=0.01)
        self.folder = folder
        self.model = build_model(recipe)
        training, self.validation = _datasets(data, recipe, self.model)
        messages = io.StringIO()
        with _logging_to(messages):
            self.history = fit_model(self.model, recipe, training, self.validation, folder)
        self.messages = messages.getvalue()


@contextlib.contextmanager
def _logging_to(stream):
    logger, handler = logging.getLogger("keras_faramtn"), logging.StreamHandler(stream)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "celeba"
    return write_celeba(folder, random_labels(20), [0] * 12 + [1] * 5 + [2] * 3)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return Run(data, tmp_path_factory.mktemp("run"), "faramtn")


def _assert_complete(run, weighted):
    history = run.history
    for name in ("loss", "accuracy", "balanced_accuracy", "val_accuracy", "val_balanced_accuracy"):
        assert len(history[name]) == 5
        assert np.isfinite(history[name]).all()
    with (run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_accuracy"]) for row in rows] == pytest.approx(history["val_accuracy"])
    assert f"accuracy {100 * history['val_accuracy'][-1]:.2f} %" in run.messages
    assert f"balanced {100 * history['val_balanced_accuracy'][-1]:.2f} %" in run.messages
    assert ("DWS: " in run.messages) == weighted

    loaded = load_model(run.folder / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3))
    expected = run.model.predict(images, verbose=0)
    for group, logits in loaded.predict(images, verbose=0).items():
        np.testing.assert_allclose(logits, expected[group], atol=1e-5)


def test_training_writes_model_and_history(run):
    _assert_complete(run, weighted=True)


@pytest.mark.parametrize("network", ["multi_label", "multi_task"])
def test_the_baselines_train(network, data, tmp_path):
    _assert_complete(Run(data, tmp_path, network), weighted=network == "multi_task")


def test_mean_accuracy_weights_each_attribute_equally(run):
    """The mean over the 40 attributes, not over the groups, recomputed from predictions."""
    logits = run.model.predict(run.validation, verbose=0)
    per_attribute = []
    for group in groups_of(run.model):
        labels = np.concatenate([labels[group] for _, labels in run.validation])
        known = labels >= 0
        correct = (logits[group] > 0) == (labels > 0)
        per_attribute += [correct[known].mean()] * labels.shape[1]
    assert run.history["val_accuracy"][-1] == pytest.approx(np.mean(per_attribute), abs=1e-6)


def test_the_learning_rate_follows_a_cosine_after_a_linear_warmup(run):
    # Twelve images in batches of eight, five epochs: ten steps, of which two are warmup.
    rates = [float(run.model.optimizer._learning_rate(step)) for step in range(11)]
    expected = [0, 0.005, *(0.005 * (1 + np.cos(np.pi * np.arange(9) / 8)))]
    np.testing.assert_allclose(rates, expected, atol=1e-8)


def test_weight_decay_excludes_biases_and_normalisation(run):
    decayed = {
        variable.name
        for variable in run.model.trainable_variables
        if run.model.optimizer._use_weight_decay(variable)
    }
    assert decayed == {"kernel"}


def test_the_seed_determines_the_initial_weights():
    first, same = (build_model(_recipe(seed=5)).get_weights() for _ in range(2))
    other = build_model(_recipe(seed=6)).get_weights()
    assert all((a == b).all() for a, b in zip(first, same, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_immediate_divergence_is_an_error_and_writes_no_model(celeba_folder, tmp_path):
    recipe = _recipe("multi_label")
    model = build_model(recipe)
    head = model.get_layer("attributes")
    head.set_weights([weight * np.nan for weight in head.get_weights()])
    with pytest.raises(
        FloatingPointError, match=r"training has diverged: .* No epoch was completed"
    ):
        fit_model(model, recipe, *_datasets(celeba_folder, recipe, model), tmp_path)
    assert not (tmp_path / "model.keras").exists()


def test_divergence_names_the_last_good_checkpoint(celeba_folder, tmp_path, monkeypatch):
    recipe = _recipe("multi_label", learning_rate=0.01)
    model = build_model(recipe)
    on_epoch_begin = keras.callbacks.Callback.on_epoch_begin

    def spoil(self, epoch, logs=None):
        if epoch == 1:
            head = self.model.get_layer("attributes")
            head.set_weights([weight * np.nan for weight in head.get_weights()])
        on_epoch_begin(self, epoch, logs)

    monkeypatch.setattr(Checkpoint, "on_epoch_begin", spoil, raising=False)
    message = (
        r"diverged: .* after epoch 1, is .*checkpoint\.keras; .* lower training\.learning_rate"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit_model(model, recipe, *_datasets(celeba_folder, recipe, model), tmp_path)
    assert not (tmp_path / "model.keras").exists()
    saved = load_model(tmp_path / "checkpoint.keras").get_weights()
    assert all(np.isfinite(weight).all() for weight in saved)


def _with_model(**changes):
    content = _recipe().model_dump(mode="json")
    content["model"].update(changes)
    return Recipe.model_validate(content)


@pytest.mark.parametrize("file", ["model.keras", "checkpoint.keras"])
def test_training_starts_from_a_trained_model(run, file):
    model = build_model(_with_model(start_from=str(run.folder / file)))
    trained = load_model(run.folder / file).get_weights()
    assert all((a == b).all() for a, b in zip(model.get_weights(), trained, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": "mcnn_aux"}, "the groups of this model differ from the recipe"),
        ({"backbone": "mobilenetv3_large"}, "this network differs from the recipe's"),
        ({"fusion": False}, "this network differs from the recipe's: weight group_fusion/"),
    ],
    ids=str,
)
def test_starting_from_a_different_network_is_refused(run, changes, message):
    with pytest.raises(InputError, match=rf"model\.keras: .*{message}"):
        build_model(_with_model(start_from=str(run.folder / "model.keras"), **changes))


@pytest.mark.parametrize("switches", [{}, {"attention": False}, {"fusion": False}], ids=str)
def test_the_same_groups_in_another_order_are_a_different_network(switches, tmp_path):
    groups = {"first": list(CELEBA_ATTRIBUTES[:7]), "rest": list(CELEBA_ATTRIBUTES[7:])}
    reordered = dict(reversed(groups.items()))
    file = tmp_path / "trained.keras"
    build_model(_with_model(groups=groups, **switches)).save(file)
    build_model(_with_model(groups=groups, start_from=str(file), **switches))
    with pytest.raises(InputError, match=r"trained\.keras: .* first, rest: the order differs"):
        build_model(_with_model(groups=reordered, start_from=str(file), **switches))


@pytest.mark.parametrize(
    ("key", "naming"),
    [
        ("model.weights", lambda file: _with_model(weights=file)),
        ("model.start_from", lambda file: _with_model(start_from=file)),
        ("training.teacher.model", lambda file: _recipe(teacher={"model": file})),
    ],
)
def test_missing_files_are_reported_before_anything_is_read(key, naming, tmp_path):
    recipe = naming(str(tmp_path / "gone.keras"))
    write_recipe(recipe, tmp_path / "mine.yaml")
    with pytest.raises(
        InputError, match=rf"mine\.yaml: {re.escape(key)}: file .*gone.keras does not exist"
    ):
        train_recipe(tmp_path / "mine.yaml", tmp_path / "no_data", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_empty_train_split_is_an_error(tmp_path):
    folder = write_celeba(tmp_path / "data", random_labels(3), [1, 1, 2])
    recipe = _recipe()
    model = build_model(recipe)
    with pytest.raises(InputError, match="the train split has no images"):
        _datasets(folder, recipe, model)


def test_an_inference_model_is_refused(celeba_folder, tmp_path):
    recipe = _recipe()
    model = build_model(recipe)
    training, validation = _datasets(celeba_folder, recipe, model)
    with pytest.raises(InputError, match="'faramtn_inference' predicts probabilities"):
        fit_model(inference_model(model), recipe, training, validation, tmp_path)
