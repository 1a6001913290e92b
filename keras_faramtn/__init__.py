"""Face attribute recognition with FAR-AMTN, an attention multi-task network, in Keras 3."""

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

# Names are imported when they are first used, so that `import keras_faramtn` alone takes no time.
_HOMES = {
    "CELEBA_ATTRIBUTES": "attributes",
    "FACE_REGIONS": "attributes",
    "GROUPINGS": "attributes",
    "MCNN_AUX": "attributes",
    "AttributeGroups": "attributes",
    "InputError": "errors",
    "ServerError": "errors",
    "AttributeHead": "layers",
    "AttributeProbabilities": "layers",
    "CGFF": "layers",
    "WSGSA": "layers",
    "BACKBONES": "models",
    "FARAMTN": "models",
    "MultiLabel": "models",
    "MultiTask": "models",
    "groups_of": "models",
    "inference_model": "models",
    "load_model": "models",
    "BalancedAccuracy": "metrics",
    "ConvolutionMuon": "optimizers",
    "DynamicWeighting": "callbacks.dynamic_weighting",
    "MaskedAccuracy": "metrics",
    "MaskedBinaryCrossentropy": "losses",
    "objective": "objective",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__


# Where Keras is in use already, make the classes known to `keras.saving.load_model` at once.
if "keras" in sys.modules:
    for _home in ("layers", "losses", "metrics"):
        importlib.import_module(f"{__name__}.{_home}")
