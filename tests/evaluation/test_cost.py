import keras
import tensorflow as tf

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.cost import step_times
from keras_faramtn.models.heads import attach_heads

GROUPS = AttributeGroups({"one": ("a",), "two": ("b", "c")}, attributes=("a", "b", "c"))


def _model(name):
    images = keras.Input((6, 5, 3), name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    return attach_heads(images, dict.fromkeys(GROUPS, pooled), GROUPS, name)


def test_networks_are_measured_in_turn_and_the_first_round_is_not_counted(monkeypatch):
    models = {name: _model(name) for name in ("first", "second")}
    before = models["first"].get_weights()
    clock, order = [0.0], []

    def timed(kind, cost):
        method = getattr(keras.Model, f"{kind}_on_batch")

        def run(self, images, *labels):
            assert images.shape == (4, 6, 5, 3)
            order.append((kind, self.name))
            # The first round includes compilation: a hundred times longer.
            clock[0] += cost[self.name] * (100 if len(order) <= 4 else 1)
            return method(self, images, *labels)

        return run

    trainer = type(models["first"])
    monkeypatch.setattr(trainer, "train_on_batch", timed("train", {"first": 2, "second": 3}))
    monkeypatch.setattr(trainer, "predict_on_batch", timed("predict", {"first": 0.5, "second": 1}))
    monkeypatch.setattr("keras_faramtn.evaluation.cost.time.perf_counter", lambda: clock[0])
    found = step_times(models, 4, rounds=3)
    assert found == {
        "train": {"first": 2.0, "second": 3.0},
        "predict": {"first": 0.5, "second": 1.0},
    }
    turn = [(kind, name) for kind in ("train", "predict") for name in models]
    assert order == turn * 4
    after = models["first"].get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_distributed_networks_can_be_measured():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = _model("mirrored")
    assert step_times({"mirrored": model}, 4, 1, ("train",))["train"]["mirrored"] > 0
