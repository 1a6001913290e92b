"""The names of the files that describe the predictions of exported files."""

LABELS_FILE = "labels.txt"
"""The attributes in the order of the probabilities, one per line. It is in the export's folder, and
inside each TFLite file, which is a zip archive too."""

GROUPS_FILE = "groups.json"
"""An object from each group to its attributes, in the export's folder."""
