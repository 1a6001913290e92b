"""The files that Keras writes to a folder, with `keras.saving.save_model(..., zipped=False)`."""

CONFIG_FILE = "config.json"
"""The layers and how they are connected."""

WEIGHTS_FILE = "model.weights.h5"

KERAS_FILES = (CONFIG_FILE, "metadata.json", WEIGHTS_FILE)
"""All of them. Keras loads them from a folder, or from `hf://OWNER/NAME`."""
