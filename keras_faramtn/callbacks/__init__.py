"""Keras callbacks: dynamic weighting, checkpoints, mean scores and the progress bar."""

from keras_faramtn.callbacks.checkpoint import Checkpoint
from keras_faramtn.callbacks.dynamic_weighting import DynamicWeighting
from keras_faramtn.callbacks.progress import MeanScores, ShortProgressBar

__all__ = ["Checkpoint", "DynamicWeighting", "MeanScores", "ShortProgressBar"]
