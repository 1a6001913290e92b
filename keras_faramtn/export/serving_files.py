"""The files that start TensorFlow Serving with an exported SavedModel and warm it up."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from packaging.version import Version

from keras_faramtn.data.decoding import resize
from keras_faramtn.inference.serving_messages import predict_request, serving_apis
from keras_faramtn.synthetic.drawing.portrait import FRAME
from keras_faramtn.synthetic.faces import draw_faces

# TensorFlow Serving looks for exactly this path in a SavedModel.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

_BATCHING = """\
# For tensorflow_model_server --enable_batching --batching_parameters_file=THIS_FILE.
# Requests that arrive within two milliseconds are run as one batch. A request may contain up to
# max_batch_size images. The number of batch threads is left at its default, the number of
# cores, which suits a server with one model.
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
"""

# Releases of the Docker image tensorflow/serving, oldest first. They appear months after
# TensorFlow's: check hub.docker.com/r/tensorflow/serving/tags before adding one.
_SERVER_RELEASES = ("2.19.0", "2.19.1", "2.20.0")

_COMPOSE = """\
# docker compose up --detach
# Then: faramtn predict http://localhost:8501/v1/models/{name} IMAGES
# or:   faramtn predict grpc://localhost:8500/{name} IMAGES
services:
  tensorflow-serving:
    # The newest known release that is not newer than the TensorFlow that wrote the model,
    # {tensorflow}. For a GPU, set TF_SERVING_TAG={release}-gpu and install the NVIDIA Container
    # Toolkit.
    image: tensorflow/serving:${{TF_SERVING_TAG:-{release}}}
    environment:
      MODEL_NAME: {name}
    command:
      - --enable_batching
      - --batching_parameters_file=/models/batching_parameters.txt
    # The server has no authentication and no encryption, so only this computer can reach it. To
    # open it to a network, put a proxy that has both in front of it, or set TF_SERVING_ADDRESS
    # to the address of a trusted network's interface.
    ports:
      - "${{TF_SERVING_ADDRESS:-127.0.0.1}}:8500:8500"  # gRPC
      - "${{TF_SERVING_ADDRESS:-127.0.0.1}}:8501:8501"  # REST
    volumes:
      - ./saved_model:/models/{name}:ro
      - ./batching_parameters.txt:/models/batching_parameters.txt:ro
    # Protects the computer. A request with images of the largest accepted size takes 0.6 GB,
    # one with photographs of 12 megapixels 0.1 GB; the model needs additional memory.
    mem_limit: ${{TF_SERVING_MEMORY:-4g}}
    # The server uses all cores. To leave some for other programs, for example:
    # cpus: 2
    restart: unless-stopped
"""


def write_serving_files(folder: Path, name: str) -> None:
    """Writes `compose.yaml` and `batching_parameters.txt` for the export's `saved_model/`.

    Args:
        folder: the export's folder.
        name: the model's name on the server.
    """
    compose = _COMPOSE.format(
        name=name, tensorflow=tf.__version__, release=server_release(tf.__version__)
    )
    (folder / "compose.yaml").write_text(compose)
    (folder / "batching_parameters.txt").write_text(_BATCHING)


def server_release(tensorflow: str) -> str:
    """The release of TensorFlow Serving for models that a version of TensorFlow wrote.

    Args:
        tensorflow: the version of TensorFlow.

    Returns:
        The newest known release that is not newer; the oldest known if all are newer.

    Example:
        >>> server_release("2.19.1")
        '2.19.1'
        >>> server_release("2.99.0")
        '2.20.0'
    """
    limit = Version(tensorflow).release
    suitable = [release for release in _SERVER_RELEASES if Version(release).release <= limit]
    return [*_SERVER_RELEASES[:1], *suitable][-1]


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
