"""Face attribute recognition with FAR-AMTN, an attention multi-task network, in Keras 3."""

import importlib
from types import ModuleType

import lazy_loader
import wrapt

__version__ = "0.1.0"

# The names of `__init__.pyi`, each imported at its first use: `import keras_faramtn` stays fast.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


@wrapt.when_imported("keras")
def _register_keras_classes(_keras: ModuleType) -> None:
    """Lets `keras.saving.load_model` find this package's classes, whichever is imported first."""
    for module in ("layers", "losses", "metrics", "optimizers"):
        importlib.import_module(f"{__name__}.{module}")
