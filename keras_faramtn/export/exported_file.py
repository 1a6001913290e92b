"""What was found of an exported file."""

from dataclasses import dataclass

from keras_faramtn.export.gpu import GPUCheck
from keras_faramtn.export.parity import Parity


@dataclass(frozen=True)
class ExportedFile:
    """What was found of an exported file.

    Attributes:
        place: its path in the export's folder; SavedModel's is a folder.
        size: in bytes.
        parity: its comparison with the model.
        milliseconds: for one image, on one thread of this computer; None but for phones' files.
        gpu: whether it runs on GPUs; None but for phones' files.
    """

    place: str
    size: int
    parity: Parity
    milliseconds: float | None = None
    gpu: GPUCheck | None = None
