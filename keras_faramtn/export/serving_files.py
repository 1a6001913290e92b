"""The files that start TensorFlow Serving with an exported SavedModel and warm it up."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_faramtn.data.decoding import resize
from keras_faramtn.inference.serving_messages import predict_request, serving_apis
from keras_faramtn.synthetic.drawing.portrait import FRAME
from keras_faramtn.synthetic.faces import draw_faces

# TensorFlow Serving looks for exactly this path in a SavedModel.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

_BATCHING = """\
# For tensorflow_model_server --enable_batching --batching_parameters_file=THIS_FILE.
# Requests that arrive within two milliseconds are run as one batch. A request may hold up to
# max_batch_size images. The number of batch threads is left at its default, the number of
# cores, which suits a server with one model.
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
"""

_COMPOSE = """\
# docker compose up --detach
# Then: faramtn predict --server http://localhost:8501/v1/models/{name} IMAGES
# or:   faramtn predict --server grpc://localhost:8500/{name} IMAGES
services:
  tensorflow-serving:
    # For a GPU, set TF_SERVING_TAG=latest-gpu and install the NVIDIA Container Toolkit.
    image: tensorflow/serving:${{TF_SERVING_TAG:-latest}}
    environment:
      MODEL_NAME: {name}
    command:
      - --enable_batching
      - --batching_parameters_file=/models/batching_parameters.txt
    ports:
      - "8500:8500"  # gRPC
      - "8501:8501"  # REST
    volumes:
      - ./saved_model:/models/{name}:ro
      - ./batching_parameters.txt:/models/batching_parameters.txt:ro
    restart: unless-stopped
"""


def write_serving_files(folder: Path, name: str) -> None:
    """Writes `compose.yaml` and `batching_parameters.txt` for the export's `saved_model/`.

    Args:
        folder: the export's folder.
        name: the model's name on the server.
    """
    (folder / "compose.yaml").write_text(_COMPOSE.format(name=name))
    (folder / "batching_parameters.txt").write_text(_BATCHING)


def write_warmup_requests(folder: Path, image_size: tuple[int, int]) -> None:
    """Writes warm-up requests: for each signature of `write_serving_model`, one and two images.

    TensorFlow Serving runs them before it accepts the model's first request. The format is that
    of its SavedModel warm-up: a TFRecord file of `PredictionLog` messages.

    Args:
        folder: the SavedModel.
        image_size: height and width in pixels of the model's input.

    Raises:
        InputError: `tensorflow-serving-api` is not installed.
    """
    logs = serving_apis().prediction_log_pb2
    faces = draw_faces(2, FRAME)
    files = [tf.io.encode_jpeg(faces[0]).numpy(), tf.io.encode_png(faces[1]).numpy()]
    images = np.stack([resize(face, image_size) for face in faces])
    requests = {
        "serving_default": ("images", images.astype("float32")),
        "serve_uint8": ("images", images),
        "serve_bytes": ("image_bytes", np.array(files, dtype=object)),
    }
    path = folder / WARMUP_FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as records:
        for signature, (name, values) in requests.items():
            for count in (1, 2):
                tensor = tf.make_tensor_proto(values[:count])
                log = logs.PredictLog(request=predict_request(signature, name, tensor))
                records.write(logs.PredictionLog(predict_log=log).SerializeToString())
