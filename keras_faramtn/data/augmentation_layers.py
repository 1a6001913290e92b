"""Augmentation by layers of Keras and KerasCV, reproducible from the seed of a batch."""

import contextlib
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from keras_faramtn.backbone_libraries import check_installed
from keras_faramtn.errors import InputError, reason

KERAS_LAYERS = (
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Solarization",
)
"""Layers of `keras.layers` that change images at random, but neither their size nor labels."""

# The largest pixel value of the images that each layer expects.
KERAS_CV_LAYERS = {"GridMask": 255, "RandomChannelShift": 255, "RandomJpegQuality": 1}
"""Such layers of `keras_cv.layers` for which Keras has no equivalent."""

_MIXES_LABELS = "it also mixes labels, which may be unknown; set data.mixup instead"
_CHANGES_SIZE = "it changes the size of the images; set data.image_size instead"
_SAME_FOR_ALL = "it is not random, and would change the training images only"
_UNSUITABLE = {
    "MixUp": _MIXES_LABELS,
    "CutMix": _MIXES_LABELS,
    "FourierMix": _MIXES_LABELS,
    "Mosaic": _MIXES_LABELS,
    "RandomCrop": _CHANGES_SIZE,
    "RandomCropAndResize": _CHANGES_SIZE,
    "CenterCrop": _CHANGES_SIZE,
    "Resizing": _CHANGES_SIZE,
    "Rescaling": "the network expects pixels in 0..255",
    "AutoContrast": _SAME_FOR_ALL,
    "Equalization": _SAME_FOR_ALL,
    "CLAHE": _SAME_FOR_ALL,
    "AugMix": "it draws from Python's random numbers once and repeats them in each batch",
}

# Keras is imported only where layers are built: reading a recipe must not take seconds.

# Set here: the pixels are in 0..255, the seed belongs to the batch.
_SET_HERE = {"value_range", "seed", "data_format", "bounding_box_format", "kwargs"}

Layers = Sequence[Mapping[str, Mapping[str, Any] | None]]
Transformation = Callable[[Any, Any], Any]


def check_layer_names(layers: Layers) -> None:
    """Checks, without importing Keras, that layers can be used for augmentation.

    Args:
        layers: in the order in which they are applied, each a mapping from its name to its
            arguments; None for the defaults.

    Raises:
        InputError: a layer can't be used, or its arguments are no mapping; the message says why.

    Example:
        >>> check_layer_names([{"RandAugment": {"factor": 0.3}}, {"GridMask": None}])
    """
    for layer in layers:
        if len(layer) != 1:
            raise InputError(
                f"each layer is a mapping from its name to its arguments, such as "
                f"{{RandAugment: {{factor: 0.3}}}}; got {dict(layer)!r}."
            )
        [(name, arguments)] = layer.items()
        if name in _UNSUITABLE:
            raise InputError(f"{name} can't be used: {_UNSUITABLE[name]}.")
        if name not in KERAS_LAYERS and name not in KERAS_CV_LAYERS:
            raise InputError(
                f"there is no layer {name!r}; use one of Keras ({', '.join(KERAS_LAYERS)}) or of "
                f"KerasCV ({', '.join(KERAS_CV_LAYERS)})."
            )
        if not isinstance(arguments, Mapping | None):
            raise InputError(
                f"{name}: the arguments must be a mapping, such as {{factor: 0.2}}; got "
                f"{arguments!r}."
            )


def build_layers(layers: Layers) -> list[Transformation]:
    """Builds layers that change the images of a batch at random.

    Args:
        layers: as in `check_layer_names`. A layer of KerasCV needs that library.

    Returns:
        For each layer a function for a `tf.data` pipeline, from images, float32
        `(batch, height, width, 3)` in 0..255, and a seed, int64 `(2,)`, to changed images of the
        same shape and dtype. The same seed gives the same images, on every backend of Keras.

    Raises:
        InputError: a layer can't be used, its library is missing, or its arguments are wrong.

    Example:
        >>> import tensorflow as tf
        >>> [invert] = build_layers([{"RandomInvert": {"factor": [1.0, 1.0]}}])
        >>> tf.function(invert)(tf.zeros((2, 4, 3, 3)), tf.constant([0, 1], tf.int64))[0, 0, 0, 0]
        <tf.Tensor: shape=(), dtype=float32, numpy=255.0>
    """
    check_layer_names(layers)
    return [
        _build(name, dict(arguments or {})) for layer in layers for name, arguments in layer.items()
    ]


def _build(name: str, arguments: dict[str, Any]) -> Transformation:
    library, make = (
        ("keras", _keras_layer) if name in KERAS_LAYERS else ("keras_cv", _keras_cv_layer)
    )
    if library == "keras_cv":
        check_installed(library)
    module = importlib.import_module(library)
    kind = getattr(module.layers, name, None)
    if kind is None:
        raise InputError(f"{name}: Keras {module.__version__} has no such layer; update Keras.")
    parameters = inspect.signature(kind).parameters
    possible = [each for each in parameters if each not in _SET_HERE]
    unknown = [each for each in arguments if each not in possible]
    if unknown:
        raise InputError(
            f"{name}: there is no argument {unknown[0]!r} to set; the arguments are "
            f"{', '.join(possible)}."
        )
    if "value_range" in parameters:
        arguments["value_range"] = (0, 255)
    try:
        with _in_float32():
            transform = make(kind(**arguments), module)
        _try(transform)
    except Exception as error:  # layers raise almost any for wrong arguments
        raise InputError(
            f"{name}: {library}.layers.{name} does not work with these arguments; correct them. "
            f"{library} reports: {reason(error)}."
        ) from error
    return transform


@contextlib.contextmanager
def _in_float32() -> Iterator[None]:
    """Layers, and those inside them, compute in float32, even if the network does not."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _try(transform: Transformation) -> None:
    """Raises an error if a transformation does not return images of the same shape."""
    import tensorflow as tf

    images = tf.random.stateless_uniform((2, 40, 32, 3), (0, 1), 0, 255)
    # In a pipeline, because Keras's layers compute on Keras's own backend elsewhere.
    dataset = tf.data.Dataset.from_tensors((images, tf.constant([0, 1], tf.int64)))
    result = dataset.map(transform).get_single_element()
    if result.shape != images.shape:
        raise ValueError(f"images of shape {images.shape} become {result.shape}")
    if not math.isfinite(tf.reduce_sum(result)):
        raise ValueError("some pixels are not finite")


def _keras_layer(layer: Any, keras: ModuleType) -> Transformation:
    import tensorflow as tf

    from keras_faramtn.keras_internals import replace_seed_generators

    class BatchSeeds(keras.random.SeedGenerator):  # type: ignore[name-defined]
        """Derives each seed from that of the batch, instead of counting in a variable."""

        def start(self, seed: Any) -> None:
            self.batch_seed, self.drawn = seed, 0

        def next(self, ordered: bool = True) -> Any:
            self.drawn += 1
            return tf.random.fold_in(self.batch_seed, self.drawn)

    seeds = BatchSeeds(seed=0)
    replace_seed_generators(layer, seeds)

    def transform(images: Any, seed: Any) -> Any:
        seeds.start(seed)
        return layer(images, training=True)

    return transform


def _keras_cv_layer(layer: Any, keras_cv: ModuleType) -> Transformation:
    import tensorflow as tf

    from keras_faramtn.keras_internals import all_layers

    class Generator:
        """Has the methods of `tf.random.Generator` that the layers call, but no state."""

        def start(self, seed: Any) -> None:
            self.seed, self.drawn = seed, 0

        def uniform(
            self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = tf.float32
        ) -> Any:
            self.drawn += 1
            seed = tf.random.fold_in(self.seed, self.drawn)
            return tf.random.stateless_uniform(shape, seed, minval, maxval, dtype)

    class Factor(keras_cv.core.FactorSampler):  # type: ignore[name-defined]
        """As `UniformFactorSampler`, but draws from `Generator`."""

        def __init__(self, low: float, high: float) -> None:
            self.low, self.high = low, high

        def __call__(self, shape: Any = (), dtype: Any = tf.float32) -> Any:
            return generator.uniform(shape, self.low, self.high, dtype)

    generator = Generator()
    for each in (layer, *all_layers(layer)):
        each._random_generator = generator
        for name, value in list(vars(each).items()):
            if isinstance(value, keras_cv.core.UniformFactorSampler):
                setattr(each, name, Factor(value.lower, value.upper))
    scale = 255 / KERAS_CV_LAYERS[type(layer).__name__]

    def transform(images: Any, seed: Any) -> Any:
        def one(image_and_seed: tuple[Any, Any]) -> Any:
            image, image_seed = image_and_seed
            generator.start(image_seed)
            return tf.ensure_shape(layer(image / scale) * scale, image.shape)

        seeds = tf.random.stateless_uniform((tf.shape(images)[0], 2), seed, None, None, tf.int64)
        # In a scope of its own: if a layer raises, map_fn leaves the scope changed.
        with tf.compat.v1.variable_scope(None, default_name="augmentation"):
            return tf.map_fn(one, (images, seeds), fn_output_signature=images.dtype)

    return transform
