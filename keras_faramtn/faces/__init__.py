"""From a photograph to face crops that are framed as in training. Imports no TensorFlow."""
