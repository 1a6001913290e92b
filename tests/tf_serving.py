"""A fake TensorFlow Serving in Python: its gRPC and REST APIs for one SavedModel.

The messages and the gRPC service are the official ones, the JSON follows the official documentation
of the REST API, and the SavedModel runs in a session, as in the server.
"""

import base64
import contextlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_HTTP = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 412, "UNAVAILABLE": 503}
_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/1)?:predict")


class RefusedError(Exception):
    """A refused request, with the name of the gRPC status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class TFServing:
    """The server's model and state.

    Attributes:
        sizes: the number of images in each request so far.
        faults: for each of the next requests, a status to refuse it with, or seconds to delay it.
    """

    def __init__(self, folder, name):
        self.name, self.sizes, self.faults = name, [], []
        self._lock = threading.Lock()
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self.signatures = dict(meta.signature_def)

    def predict(self, model, signature, inputs):
        """Handles a request; `inputs` and the returned outputs are dicts of arrays by name."""
        with self._lock:
            self.sizes.append(len(next(iter(inputs.values()), [])))
            fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, str):
            raise RefusedError(fault, "requested by the test")
        time.sleep(fault or 0)
        if model != self.name:
            raise RefusedError("NOT_FOUND", f"Servable not found for request: Latest({model})")
        definition = self.signatures.get(signature or "serving_default")
        if definition is None:
            message = f'Serving signature name: "{signature}" not found in signature def'
            raise RefusedError("FAILED_PRECONDITION", message)
        if set(inputs) != set(definition.inputs):
            raise RefusedError("INVALID_ARGUMENT", "input size does not match signature")
        feed = {definition.inputs[name].name: array for name, array in inputs.items()}
        fetch = {name: info.name for name, info in definition.outputs.items()}
        try:
            return self._session.run(fetch, feed)
        except (tf.errors.OpError, ValueError) as error:
            raise RefusedError("INVALID_ARGUMENT", str(error)) from error

    def numpy_type(self, signature, name):
        return tf.dtypes.as_dtype(self.signatures[signature].inputs[name].dtype).as_numpy_dtype


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, serving):
        self._serving = serving

    def Predict(self, request, context):
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        spec = request.model_spec
        try:
            outputs = self._serving.predict(spec.name, spec.signature_name, inputs)
        except RefusedError as error:
            context.abort(grpc.StatusCode[error.status], str(error))
        response = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            path = _PATH.fullmatch(self.path)
            if path is None:
                raise RefusedError("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
            status, content = 200, self._predict(path[1], body)
        except RefusedError as error:
            status, content = _HTTP[error.status], {"error": str(error)}
        encoded = json.dumps(content).encode()
        with contextlib.suppress(BrokenPipeError):  # the client gave up
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

    def _predict(self, model, body):
        serving, signature = self.server.serving, body.get("signature_name", "serving_default")
        definition = serving.signatures.get(signature)
        [name] = definition.inputs if definition else ["unknown"]
        values = [_value(value) for value in body["instances"]]
        kind = serving.numpy_type(signature, name) if definition else object
        outputs = serving.predict(model, signature, {name: np.array(values, dtype=kind)})
        for output, array in outputs.items():
            if array.shape[:1] != (len(values),):
                message = f"Tensor name: {output} has inconsistent batch size: {array.shape[:1]}"
                raise RefusedError("INVALID_ARGUMENT", message)
        rows = [
            {output: _json(array[row]) for output, array in outputs.items()}
            for row in range(len(values))
        ]
        return {"predictions": rows}

    def log_message(self, *_):
        pass


def _value(value):
    return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else value


def _json(value):
    if isinstance(value, bytes):
        return value.decode()
    return [_json(element) for element in value] if getattr(value, "shape", ()) else value.item()


@contextlib.contextmanager
def serve(folder, name):
    """Serves a SavedModel; yields the `TFServing` and its URLs by scheme."""
    serving = TFServing(folder, name)
    server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Service(serving), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    web.serving = serving
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield (
            serving,
            {
                "grpc": f"grpc://127.0.0.1:{grpc_port}/{name}",
                "http": f"http://127.0.0.1:{web.server_port}/v1/models/{name}",
            },
        )
    finally:
        web.shutdown()
        web.server_close()
        server.stop(0)
