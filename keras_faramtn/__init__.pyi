from . import callbacks, layers, losses, metrics, models, optimizers
from .attributes import (
    CELEBA_ATTRIBUTES,
    DEFAULT_THRESHOLD,
    FACE_REGIONS,
    GROUPINGS,
    MCNN_AUX,
    AttributeGroups,
)
from .callbacks import DynamicWeighting
from .data.augmentation import Augmentation
from .data.pipeline import make_dataset
from .data.readers.dataset import read_dataset
from .data.table import FaceTable
from .errors import InputError, ServerError
from .evaluation.calibration import fit_temperatures
from .evaluation.evaluate import evaluate_model
from .evaluation.subgroups import subgroup_scores, subgroups_of
from .evaluation.thresholds import choose_thresholds
from .experiments.run import train_recipe
from .explanations.attention import Attention, attention_of
from .explanations.evidence import Explanation, explain
from .explanations.occlusion import occlude
from .export.exporter import export_model
from .faces.alignment import crop_face
from .faces.crop_dataset import crop_dataset
from .faces.detector import FaceDetector
from .faces.face import Face
from .faces.measure import measure_framing
from .framing import BOX_FRAMING, CELEBA_FRAMING, AlignedFraming, BoxFraming
from .inference.drawing import draw_predictions
from .inference.image_files import predict_files
from .inference.loading import load_predictor, read_record
from .inference.photographs import (
    FacePrediction,
    PhotographPrediction,
    predict_photographs,
)
from .inference.predictor import Predictor
from .inference.serving_client import predict_on_server
from .layers import CGFF, WSGSA, AttributeHead, AttributeProbabilities
from .losses import MaskedBinaryCrossentropy
from .metrics import BalancedAccuracy, MaskedAccuracy
from .model_record import ModelRecord
from .models import (
    BACKBONES,
    FARAMTN,
    MultiLabel,
    MultiTask,
    groups_of,
    inference_model,
    load_model,
)
from .models.record import apply_temperatures, set_framing, set_thresholds
from .objective import objective
from .optimizers import ConvolutionMuon
from .scoring.score import score_images
from .scoring.table import ScoringSummary
from .synthetic.dataset import synthesize
from .synthetic.faces import draw_face

__version__: str

__all__ = [
    "BACKBONES",
    "BOX_FRAMING",
    "CELEBA_ATTRIBUTES",
    "CELEBA_FRAMING",
    "CGFF",
    "DEFAULT_THRESHOLD",
    "FACE_REGIONS",
    "FARAMTN",
    "GROUPINGS",
    "MCNN_AUX",
    "WSGSA",
    "AlignedFraming",
    "Attention",
    "AttributeGroups",
    "AttributeHead",
    "AttributeProbabilities",
    "Augmentation",
    "BalancedAccuracy",
    "BoxFraming",
    "ConvolutionMuon",
    "DynamicWeighting",
    "Explanation",
    "Face",
    "FaceDetector",
    "FacePrediction",
    "FaceTable",
    "InputError",
    "MaskedAccuracy",
    "MaskedBinaryCrossentropy",
    "ModelRecord",
    "MultiLabel",
    "MultiTask",
    "PhotographPrediction",
    "Predictor",
    "ScoringSummary",
    "ServerError",
    "apply_temperatures",
    "attention_of",
    "callbacks",
    "choose_thresholds",
    "crop_dataset",
    "crop_face",
    "draw_face",
    "draw_predictions",
    "evaluate_model",
    "explain",
    "export_model",
    "fit_temperatures",
    "groups_of",
    "inference_model",
    "layers",
    "load_model",
    "load_predictor",
    "losses",
    "make_dataset",
    "measure_framing",
    "metrics",
    "models",
    "objective",
    "occlude",
    "optimizers",
    "predict_files",
    "predict_on_server",
    "predict_photographs",
    "read_dataset",
    "read_record",
    "score_images",
    "set_framing",
    "set_thresholds",
    "subgroup_scores",
    "subgroups_of",
    "synthesize",
    "train_recipe",
]
