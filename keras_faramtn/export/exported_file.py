"""The result of exporting one file."""

from dataclasses import dataclass

from keras_faramtn.export.gpu_check import GPUCheck
from keras_faramtn.export.parity import Parity


@dataclass(frozen=True)
class ExportedFile:
    """An exported file and its measurements. `parity.json` has the same fields.

    Attributes:
        path: relative to the export's folder; a SavedModel is a folder.
        size_bytes: the size of the file, or of all files in the folder.
        parity: the comparison with the trained model.
        latency_ms: the median time for one image on one CPU thread of this computer; None unless
            the file is for phones.
        gpu: whether it runs on GPUs; None unless the file is for phones.
    """

    path: str
    size_bytes: int
    parity: Parity
    latency_ms: float | None = None
    gpu: GPUCheck | None = None
