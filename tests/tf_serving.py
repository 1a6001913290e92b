"""A fake TensorFlow Serving in Python: its gRPC and REST APIs for one SavedModel.

The messages and the gRPC service are the official ones, the JSON follows the official documentation
of the REST API (status, metadata and predictions, in row and in column format), and the SavedModel
runs in a session, as in the server.
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
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

VERSION, LABEL = 1, "stable"
_HTTP = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 412, "UNAVAILABLE": 503}
_MODEL = r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(f"(?i){_MODEL}:predict")
_STATUS = re.compile(f"(?i){_MODEL}(?P<metadata>/metadata)?")


class RefusedError(Exception):
    """A rejected request, with the name of the gRPC status."""

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

    def check_model(self, model, version=None, label=None):
        """Rejects a model, version or label that the server does not have."""
        if label is not None and label != LABEL:
            message = f"Unrecognized servable version label: {label}"
            raise RefusedError("INVALID_ARGUMENT", message)
        if model != self.name or version not in {None, VERSION}:
            which = f"Latest({model})" if version is None else f"Specific({model}, {version})"
            raise RefusedError("NOT_FOUND", f"Servable not found for request: {which}")

    def signature(self, name):
        """The signature of that name, "" for the default."""
        definition = self.signatures.get(name or "serving_default")
        if definition is None:
            message = f'Serving signature name: "{name}" not found in signature def'
            raise RefusedError("FAILED_PRECONDITION", message)
        return definition

    def predict(self, definition, inputs):
        """Runs a signature; `inputs` and the returned outputs are dicts of arrays by name."""
        if set(inputs) != set(definition.inputs):
            raise RefusedError("INVALID_ARGUMENT", "input size does not match signature")
        feed = {definition.inputs[name].name: array for name, array in inputs.items()}
        fetch = {name: info.name for name, info in definition.outputs.items()}
        try:
            return self._session.run(fetch, feed)
        except (tf.errors.OpError, ValueError) as error:
            raise RefusedError("INVALID_ARGUMENT", str(error)) from error

    def begin(self, size):
        """Records a request, and rejects or delays it if the test requests it."""
        with self._lock:
            self.sizes.append(size)
            fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, str):
            raise RefusedError(fault, "requested by the test")
        time.sleep(fault or 0)


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, serving):
        self._serving = serving

    def Predict(self, request, context):
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        try:
            self._serving.begin(len(next(iter(inputs.values()), [])))
            self._serving.check_model(spec.name, version, spec.version_label or None)
            outputs = self._serving.predict(self._serving.signature(spec.signature_name), inputs)
        except RefusedError as error:
            context.abort(grpc.StatusCode[error.status], str(error))
        response = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(_PREDICT, lambda path: self._predict(path, body))

    def do_GET(self):
        self._respond(_STATUS, self._describe)

    def _respond(self, pattern, handle):
        try:
            path = pattern.fullmatch(self.path)
            if path is None:
                message = f"Malformed request: {self.command} {self.path}"
                raise RefusedError("INVALID_ARGUMENT", message)
            status, content = 200, handle(path)
        except RefusedError as error:
            status, content = _HTTP[error.status], {"error": str(error)}
        encoded = json.dumps(content).encode()
        with contextlib.suppress(ConnectionError):  # the client gave up
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

    def _check_model(self, path):
        version = path["version"] and int(path["version"])
        self.server.serving.check_model(path["model"], version, path["label"])

    def _describe(self, path):
        self._check_model(path)
        if not path["metadata"]:
            status = {"error_code": "OK", "error_message": ""}
            version = {"version": str(VERSION), "state": "AVAILABLE", "status": status}
            return {"model_version_status": [version]}
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self.server.serving.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        kind = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        described = MessageToDict(signatures, preserving_proto_field_name=True)
        spec = {"name": path["model"], "signature_name": "", "version": str(VERSION)}
        return {"model_spec": spec, "metadata": {"signature_def": {"@type": kind, **described}}}

    def _predict(self, path, body):
        serving = self.server.serving
        try:
            request = json.loads(body)
        except ValueError as error:
            raise RefusedError("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
        values = request.get("instances", request.get("inputs", []))
        values = values if isinstance(values, list) else next(iter(values.values()))
        serving.begin(len(values))
        self._check_model(path)
        definition = serving.signature(request.get("signature_name"))
        if "instances" in request and "inputs" in request:
            message = "Not formatted correctly expecting only one of 'inputs' or 'instances'"
            raise RefusedError("INVALID_ARGUMENT", message)
        if "instances" in request:
            inputs = _read_rows(request["instances"], definition)
            return {"predictions": _write_rows(serving.predict(definition, inputs))}
        if "inputs" in request:
            inputs = _read_columns(request["inputs"], definition)
            return {"outputs": _write_columns(serving.predict(definition, inputs))}
        raise RefusedError("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key")

    def log_message(self, *_):
        pass


def _is_binary(value):
    return isinstance(value, dict) and set(value) == {"b64"}


def _read_rows(rows, definition):
    """The input tensors of `instances`: plain values for a single input, or objects by name."""
    if not rows:
        raise RefusedError("INVALID_ARGUMENT", "No values in 'instances' array")
    named = [isinstance(row, dict) and not _is_binary(row) for row in rows]
    if not any(named) and len(definition.inputs) == 1:
        rows = [{next(iter(definition.inputs)): row} for row in rows]
    elif not all(named):
        raise RefusedError("INVALID_ARGUMENT", "Expecting object but got list")
    if any(set(row) != set(definition.inputs) for row in rows):
        message = f"keys must be equal to: {','.join(definition.inputs)}"
        raise RefusedError("INVALID_ARGUMENT", message)
    columns = {name: [row[name] for row in rows] for name in definition.inputs}
    return {name: _array(values, definition.inputs[name]) for name, values in columns.items()}


def _read_columns(columns, definition):
    """The input tensors of `inputs`: one tensor for a single input, or an object by name."""
    if not isinstance(columns, dict) or _is_binary(columns):
        columns = {next(iter(definition.inputs)): columns}
    for name in definition.inputs:
        if name not in columns:
            message = f"Missing named input: {name} in 'inputs' object."
            raise RefusedError("INVALID_ARGUMENT", message)
    return {name: _array(columns[name], info) for name, info in definition.inputs.items()}


def _array(value, info):
    kind = tf.dtypes.as_dtype(info.dtype)
    try:
        return np.array(_decode(value), dtype=kind.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise RefusedError("INVALID_ARGUMENT", f"not of expected type: {kind.name}") from error


def _decode(value):
    if isinstance(value, list):
        return [_decode(element) for element in value]
    if _is_binary(value):
        return base64.b64decode(value["b64"], validate=True)
    return value.encode() if isinstance(value, str) else value


def _write_rows(outputs):
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) != 1:
        raise RefusedError("INVALID_ARGUMENT", f"Tensors have inconsistent batch sizes: {sizes}")
    columns = {name: _json(array, name) for name, array in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _write_columns(outputs):
    columns = {name: _json(array, name) for name, array in outputs.items()}
    return columns if len(columns) > 1 else next(iter(columns.values()))


def _json(array, name):
    """An array as nested lists. The names of binary outputs end in `_bytes`."""
    if isinstance(array, np.ndarray) and array.ndim:
        return [_json(element, name) for element in array]
    if isinstance(array, bytes):
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(array).decode()}
        return array.decode()
    return array.item()


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
