import warnings

import keras
import numpy as np
import pytest
from explained import GROUPS, random_images, small_network
from other_backends import run_on
from sensitive_network import make_sensitive

from keras_faramtn.errors import InputError
from keras_faramtn.explanations.attention import attention_of
from keras_faramtn.explanations.evidence import explain
from keras_faramtn.models import FARAMTN, MultiTask, groups_of, inference_model
from keras_faramtn.models.loading import load_model
from keras_faramtn.synthetic.faces import draw_faces

ATTRIBUTES = ["glasses", "young", "open"]
VARIANTS = {
    "full": {},
    "without WSGSA": {"attention": False},
    "without CGFF": {"fusion": False, "dropout": 0.5},
    "without both": {"attention": False, "fusion": False},
}
NETWORKS = {
    "FARAMTN": lambda: FARAMTN("mobilenetv3_small", GROUPS, (64, 96, 3)),
    "MultiTask": lambda: MultiTask("mobilenetv3_small", GROUPS, (64, 96, 3), dropout=0.2),
}


def _logits(model, images, attributes):
    """The logits that the model itself predicts, `(n, attributes)`."""
    predicted = model.predict(images, verbose=0)
    groups = groups_of(model)
    by_name = {
        name: predicted[group][:, index]
        for group, members in groups.items()
        for index, name in enumerate(members)
    }
    return np.stack([by_name[name] for name in attributes], axis=1)


def _check_sum(model, images):
    explanation = explain(model, images, ATTRIBUTES)
    logits = _logits(model, images, ATTRIBUTES)
    assert np.ptp(logits, axis=0).min() > 0.01  # the images differ
    np.testing.assert_allclose(explanation.logits, logits, rtol=1e-5, atol=1e-5)
    sums = explanation.bias + explanation.high_level.sum(axis=(2, 3))
    if explanation.trunk is not None:
        sums = sums + explanation.trunk.sum(axis=(2, 3))
        assert np.abs(explanation.trunk).sum(axis=(2, 3)).min() > 0.01
    np.testing.assert_allclose(sums, logits, rtol=1e-4, atol=1e-4)
    total = explanation.bias + explanation.evidence.sum(axis=(2, 3))
    np.testing.assert_allclose(total, logits, rtol=1e-4, atol=1e-4)
    return explanation


@pytest.mark.parametrize("variant", VARIANTS)
def test_evidence_and_bias_sum_to_the_logit(variant):
    explanation = _check_sum(small_network(**VARIANTS[variant]), random_images())
    assert explanation.attributes == tuple(ATTRIBUTES)
    assert explanation.high_level.shape == (3, 3, 2, 3)
    if VARIANTS[variant].get("fusion", True):
        assert explanation.trunk.shape == explanation.evidence.shape == (3, 3, 4, 6)
    else:
        assert explanation.trunk is None
        assert explanation.evidence is explanation.high_level


@pytest.mark.parametrize("name", NETWORKS)
def test_evidence_and_bias_sum_to_the_logit_of_every_network(name):
    keras.utils.set_random_seed(0)
    explanation = _check_sum(make_sensitive(NETWORKS[name]()), draw_faces(3, (64, 96)))
    assert explanation.high_level.shape == (3, 3, 2, 3)


@pytest.mark.parametrize("attention", [True, False])
def test_evidence_is_what_the_logit_loses_without_the_position(attention):
    """With fixed gates, attention weights and sigmoids, and the vector of the position set to 0."""
    model, images = small_network(attention=attention), random_images(2)
    explanation = explain(model, images, ["closed"])
    names = ["trunk", "shared", "last"]
    inner = keras.Model(model.input, [model.get_layer(name).output for name in names])
    trunk, shared, last = (np.asarray(each) for each in inner(images.astype("float32")))
    frozen = _FrozenNetwork(model, trunk, shared, last, "eyes", 1)
    np.testing.assert_allclose(
        frozen.logit(trunk, last), explanation.logits[:, 0], rtol=1e-4, atol=1e-4
    )
    for row, column in np.ndindex(4, 6):
        without = trunk.copy()
        without[:, row, column] = 0
        loss = frozen.logit(trunk, last) - frozen.logit(without, last)
        np.testing.assert_allclose(explanation.trunk[:, 0, row, column], loss, atol=1e-4)
    for row, column in np.ndindex(2, 3):
        without = last.copy()
        without[:, row, column] = 0
        loss = frozen.logit(trunk, last) - frozen.logit(trunk, without)
        np.testing.assert_allclose(explanation.high_level[:, 0, row, column], loss, atol=1e-4)


class _FrozenNetwork:
    """The formulas of WSGSA, CGFF and the head for one logit, with everything but f(X) and the
    trunk's map fixed at its value for the images."""

    def __init__(self, model, trunk, shared, last, group, index):
        self.fusion, self.index = model.get_layer("fusion"), index
        self.row = list(GROUPS).index(group)
        self.kernel, self.bias = model.get_layer(group).get_weights()
        self.gates = [np.ones((len(trunk), 14))] * len(GROUPS)
        if any(layer.name == "attention" for layer in model.layers):
            gates = model.get_layer("attention").gates(shared)
            self.gates = [np.asarray(gates[name]) for name in GROUPS]
        features = dict(zip(GROUPS, self._features(last), strict=True))
        features = {name: feature.astype("float32") for name, feature in features.items()}
        self.weights = [np.asarray(weights) for weights, _ in self.fusion.attend(features, trunk)]
        self.sigmoid = 1 / (1 + np.exp(-self._mixed(trunk, last)))

    def _features(self, last):
        return [last.mean(axis=(1, 2), dtype="float64") * gate for gate in self.gates]

    def _mixed(self, trunk, last):
        to_groups, to_positions, to_values = (
            layer.get_weights()[0].astype("float64")
            for layer in (
                self.fusion.group_projection,
                self.fusion.position_projection,
                self.fusion.value,
            )
        )
        groups = np.stack(self._features(last), axis=1) @ to_groups
        positions = trunk.reshape(len(trunk), 24, 10) @ to_positions
        values = np.concatenate([groups, positions], axis=1) @ to_values
        parts = np.split(values, 2, axis=-1)
        heads = [w[:, self.row, None] @ v for w, v in zip(self.weights, parts, strict=True)]
        return np.concatenate(heads, axis=-1)[:, 0]

    def logit(self, trunk, last):
        silu = self._mixed(trunk, last) * self.sigmoid
        feature = self._features(last)[self.row]
        fused = feature + silu @ self.fusion.output_projection.get_weights()[0]
        return (fused @ self.kernel + self.bias)[:, self.index]


def test_the_finer_grid_keeps_the_evidence_of_each_side():
    """Both grids have a border in the middle, so each quarter keeps its sum."""
    explanation = explain(small_network(), random_images(), ["smile"])
    expected = explanation.high_level[:, :, :1].sum(axis=(2, 3))
    expected += explanation.trunk[:, :, :2].sum(axis=(2, 3))
    np.testing.assert_allclose(
        explanation.evidence[:, :, :2].sum(axis=(2, 3)), expected, rtol=1e-4, atol=1e-5
    )


def test_an_inference_model_and_a_saved_one_have_the_same_evidence(tmp_path):
    model, images = small_network(), random_images()
    expected = explain(model, images, ATTRIBUTES)
    inference_model(model).save(tmp_path / "model.keras")
    actual = explain(load_model(tmp_path / "model.keras"), images, ATTRIBUTES)
    np.testing.assert_allclose(actual.evidence, expected.evidence, atol=1e-5)
    probabilities = inference_model(model).predict(images, verbose=0)
    columns = [GROUPS.attributes.index(name) for name in ATTRIBUTES]
    np.testing.assert_allclose(actual.probabilities, probabilities[:, columns], atol=1e-5)


def test_an_inference_model_is_explained_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        explain(inference_model(small_network()), random_images(), ATTRIBUTES)


def test_a_network_of_half_precision_is_explained_to_its_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small_network()
    finally:
        keras.config.set_dtype_policy("float32")
    explanation = explain(model, random_images(), ATTRIBUTES)
    total = explanation.bias + explanation.evidence.sum(axis=(2, 3))
    scale = np.abs(explanation.evidence).sum(axis=(2, 3))
    assert (np.abs(total - explanation.logits) < 0.05 * scale).all()


def test_jax_computes_the_same_evidence(tmp_path):
    pytest.importorskip("jax")
    model, images = small_network(), random_images()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import numpy as np\n"
        "from keras_faramtn.explanations.attention import attention_of\n"
        "from keras_faramtn.explanations.evidence import explain\n"
        "from keras_faramtn.models.loading import load_model\n"
        f"folder = {str(tmp_path)!r}\n"
        "model, images = load_model(folder + '/model.keras'), np.load(folder + '/images.npy')\n"
        "np.savez(folder + '/jax.npz', explain(model, images, ['young']).evidence,\n"
        "         attention_of(model, images).to_positions)"
    )
    run_on("jax", code)
    expected = (
        explain(model, images, ["young"]).evidence,
        attention_of(model, images).to_positions,
    )
    with np.load(tmp_path / "jax.npz") as arrays:
        for actual, here in zip(arrays.values(), expected, strict=True):
            np.testing.assert_allclose(actual, here, atol=1e-3)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["Smiling"], "doesn't predict 'Smiling'; its attributes are young, smile"),
        (["smile", "smile"], "contains smile more than once"),
        ([], "no attribute to explain"),
        ("smile", "must be a list of names; got 'smile'"),
    ],
)
def test_wrong_attributes_raise_input_error(attributes, message):
    with pytest.raises(InputError, match=message):
        explain(small_network(), random_images(), attributes)


@pytest.mark.parametrize("shape", [(3, 24, 24, 3), (24, 36, 3), (0, 24, 36, 3)])
def test_images_of_another_shape_raise_input_error(shape):
    with pytest.raises(InputError, match=r"as \(n, 24, 36, 3\)"):
        explain(small_network(), np.zeros(shape), ["smile"])


def test_another_model_raises_input_error():
    model = keras.Sequential([keras.Input((24, 36, 3)), keras.layers.Flatten()])
    with pytest.raises(InputError, match="no attribute heads"):
        explain(model, random_images(), ["smile"])
