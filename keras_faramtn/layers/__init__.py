"""The package's Keras layers, one per file, written with `keras.ops` only."""

from keras_faramtn.layers.attribute_head import AttributeHead
from keras_faramtn.layers.attribute_probabilities import AttributeProbabilities
from keras_faramtn.layers.cgff import CGFF
from keras_faramtn.layers.face_framing import FaceFraming
from keras_faramtn.layers.patch_map import PatchMap
from keras_faramtn.layers.wsgsa import WSGSA

__all__ = ["CGFF", "WSGSA", "AttributeHead", "AttributeProbabilities", "FaceFraming", "PatchMap"]
