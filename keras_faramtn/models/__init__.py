"""The networks: FAR-AMTN and the baselines it is compared with."""

from keras_faramtn.models.backbones import BACKBONES
from keras_faramtn.models.baselines import MultiLabel, MultiTask
from keras_faramtn.models.faramtn import FARAMTN
from keras_faramtn.models.heads import groups_of, inference_model
from keras_faramtn.models.loading import load_model

__all__ = [
    "BACKBONES",
    "FARAMTN",
    "MultiLabel",
    "MultiTask",
    "groups_of",
    "inference_model",
    "load_model",
]
