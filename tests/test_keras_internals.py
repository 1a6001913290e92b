"""What `keras_internals` relies on. A failure here means that Keras changed; adapt that module."""

import keras
import numpy as np
import pytest

from keras_faramtn import keras_internals, optimizers
from keras_faramtn.errors import InputError
from keras_faramtn.optimizers import ConvolutionMuon


def _model():
    images = keras.Input((3,))
    hidden = keras.layers.Dropout(0.5, seed=3)(images)
    inner = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="norm")])
    outputs = {name: keras.layers.Dense(1, name=name)(inner(hidden)) for name in ("a", "b")}
    return keras.Model(images, outputs)


def _compiled():
    model = _model()
    model.compile("sgd", loss={"a": "mse", "b": "mae"}, loss_weights={"a": 2.0, "b": 3.0})
    return model


DATA = np.ones((4, 3), "float32"), {name: np.full((4, 1), 2, "float32") for name in "ab"}


def test_losses_and_weights_of_a_compiled_model_are_found():
    model = _compiled()
    assert keras_internals.compiled_losses(model) == {"a": "mse", "b": "mae"}, (
        "Keras keeps `loss` elsewhere: adapt `keras_internals.compiled_losses`"
    )
    assert keras_internals.compiled_loss_weights(model) == {"a": 2.0, "b": 3.0}, (
        "Keras keeps `loss_weights` elsewhere: adapt `keras_internals.compiled_loss_weights`"
    )
    assert keras_internals.compiled_losses(_model()) is None


@pytest.mark.parametrize("trained", [False, True], ids=["before training", "after training"])
def test_replaced_loss_weights_are_used(trained):
    model = _compiled()
    if trained:
        model.fit(*DATA, verbose=0)
        model.evaluate(*DATA, verbose=0)
    weights = {"a": keras.Variable(0.5), "b": 0.0}
    keras_internals.replace_loss_weights(model, weights)
    for value in (0.5, 4.0):
        weights["a"].assign(value)
        result = model.evaluate(*DATA, verbose=0, return_dict=True)
        assert result["loss"] == pytest.approx(value * result["a_loss"], rel=1e-5), (
            "Keras uses other loss weights: adapt `keras_internals.replace_loss_weights`"
        )


def test_losses_and_metrics_are_built_before_the_first_step():
    model = _model()
    traces = []

    class Accuracy(keras.metrics.MeanMetricWrapper):
        def update_state(self, *arguments, **more):
            traces.append(1)
            return super().update_state(*arguments, **more)

    model.compile(
        "sgd",
        loss={"a": "mse", "b": "mae"},
        metrics={"a": [Accuracy(keras.losses.mean_squared_error, name="error")]},
    )
    model.optimizer.build(model.trainable_variables)
    keras_internals.build_losses_and_metrics(model, DATA)
    variables = len(model.metrics_variables)
    assert variables, "Keras builds metrics elsewhere: adapt `build_losses_and_metrics`"
    before = len(traces)
    model.fit(*DATA, epochs=2, verbose=0)
    assert len(model.metrics_variables) == variables
    assert len(traces) == before + 1, "the train step is traced more than once"


def test_a_metric_that_is_an_attribute_is_tracked_saved_and_untracked(tmp_path):
    class State(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="state")
            self.value = self.add_variable((), initializer="zeros", name="value")

        def result(self):
            return {}

        def save_own_variables(self, store):
            store["value"] = keras.ops.convert_to_numpy(self.value)

        def load_own_variables(self, store):
            self.value.assign(np.array(store["value"]))

    models = _compiled(), _compiled()
    for model in models:
        model.fit(*DATA, verbose=0)  # builds it: later attributes must still be tracked
        model.state = State()
        assert model.state in model.metrics, "Keras no longer tracks metrics among the attributes"
    models[0].state.value.assign(7.0)
    models[0].save_weights(tmp_path / "model.weights.h5")
    models[1].load_weights(tmp_path / "model.weights.h5")
    assert float(models[1].state.value) == 7.0, (
        "Keras no longer saves attributes of a model: adapt the state of `DynamicWeighting`"
    )
    keras_internals.untrack_metric(models[0], models[0].state)
    assert not any(metric.name == "state" for metric in models[0].metrics), (
        "Keras keeps metrics elsewhere: adapt `keras_internals.untrack_metric`"
    )


def test_fit_begins_with_the_initial_epoch_that_is_set():
    class Set(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            keras_internals.set_initial_epoch(self.model, 2)

        def on_train_end(self, logs=None):
            keras_internals.set_initial_epoch(self.model, None)

    model = _compiled()
    history = model.fit(*DATA, epochs=3, verbose=0, callbacks=[Set()])
    assert history.epoch == [2], (
        "Keras keeps the initial epoch elsewhere: adapt `keras_internals.set_initial_epoch`"
    )
    assert model.fit(*DATA, epochs=1, verbose=0).epoch == [0]


def test_layers_of_inner_models_are_found():
    names = [layer.name for layer in keras_internals.all_layers(_model())]
    assert {"a", "b", "norm"} <= set(names), (
        "Keras lists layers in another way: adapt `keras_internals.all_layers`"
    )
    assert len(names) == len(set(names))


def test_the_call_that_returned_a_tensor_is_found():
    first, second = keras.Input((2,)), keras.Input((3,))
    layer = keras.layers.Concatenate()
    pairs = {"b": [first, second], "a": [second, first]}
    results = {name: layer(pair) for name, pair in pairs.items()}
    for name, pair in pairs.items():
        found, inputs = keras_internals.call_that_returned(results[name])
        assert found is layer
        assert [id(each) for each in inputs] == [id(each) for each in pair], (
            "Keras records calls in another way: adapt `keras_internals.call_that_returned`"
        )


def test_states_of_random_generators_decide_what_dropout_does():
    model = _model()
    states = keras_internals.random_generator_states(model)
    assert len(states) == 1, (
        "Keras lists seeds in another way: adapt `keras_internals.random_generator_states`"
    )
    before = keras.ops.convert_to_numpy(states[0])
    images = np.random.default_rng(0).normal(size=(4, 3))
    first = keras.ops.convert_to_numpy(model(images, training=True)["a"])
    other = keras.ops.convert_to_numpy(model(images, training=True)["a"])
    states[0].assign(before)
    again = keras.ops.convert_to_numpy(model(images, training=True)["a"])
    assert np.abs(other - first).max() > 1e-4
    np.testing.assert_allclose(again, first, rtol=1e-5)


def test_masked_values_of_a_loss_do_not_count():
    class Loss(keras.losses.Loss):
        def call(self, y_true, y_pred):
            values = y_pred[:, 0]
            keras_internals.set_mask(values, y_true[:, 0] > 0)
            return values

    labels, predictions = np.array([[1], [0], [1.0]]), np.array([[2], [50], [4.0]])
    assert float(Loss()(labels, predictions)) == pytest.approx(3, rel=1e-5), (
        "Keras masks losses in another way: adapt `keras_internals.set_mask`"
    )
    assert float(Loss(reduction="sum")(labels, predictions)) == pytest.approx(6)
    assert float(Loss()(0 * labels, predictions)) == 0


def test_variables_are_created_for_the_strategy_of_the_model():
    with keras_internals.variable_scope(_model()):
        assert float(keras.Variable(1.0)) == 1
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.OneDeviceStrategy("CPU:0").scope():
            model = _model()
        with keras_internals.variable_scope(model):
            strategy = tf.distribute.get_strategy()
        assert isinstance(strategy, tf.distribute.OneDeviceStrategy), (
            "Keras keeps the strategy elsewhere: adapt `keras_internals.variable_scope`"
        )


@pytest.mark.skipif(not optimizers.MUON_SUPPORTED, reason="Keras 3.13 or later has this Muon")
def test_muon_calls_the_methods_that_convolution_muon_overrides(monkeypatch):
    called = set()
    for name in ("_should_use_adamw", "zeropower_via_newtonschulz5", "lr_adjust"):
        method = vars(ConvolutionMuon)[name]

        def counted(self, *arguments, name=name, method=method):
            called.add(name)
            return method(self, *arguments)

        monkeypatch.setattr(ConvolutionMuon, name, counted)
    optimizer = ConvolutionMuon()
    variable = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones((2, 2))], [variable])
    assert called == {"_should_use_adamw", "zeropower_via_newtonschulz5", "lr_adjust"}, (
        "keras.optimizers.Muon works in another way: adapt `ConvolutionMuon`"
    )


def test_muon_of_an_earlier_keras_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(optimizers, "MUON_SUPPORTED", False)
    with pytest.raises(InputError, match=rf"needs Keras 3\.13.* {keras.__version__}.*adamw"):
        ConvolutionMuon()


def test_layers_inside_a_layer_draw_from_the_given_seed_generator():
    layer = keras.layers.RandomColorJitter(brightness_factor=0.3, contrast_factor=0.3, seed=5)
    images = np.full((3, 4, 5, 3), 100, "float32")

    def jittered(seed):
        keras_internals.replace_seed_generators(layer, keras.random.SeedGenerator(seed))
        return keras.ops.convert_to_numpy(layer(images))

    np.testing.assert_array_equal(
        jittered(1),
        jittered(1),
        err_msg="Keras finds the seed generator of layers elsewhere: adapt "
        "`keras_internals.replace_seed_generators`",
    )
    assert (jittered(1) != jittered(2)).any()
