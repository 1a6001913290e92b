import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tenacity
import tensorflow as tf
import trustme
from mutated import GOOD
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_faramtn.errors import ServerError
from keras_faramtn.inference import serving_client as client
from keras_faramtn.inference import serving_response
from keras_faramtn.inference.serving_client import predict_on_server


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    requests = 0
    outputs: dict
    shapes: dict

    def Predict(self, request, context):
        self.requests += 1
        response = predict_pb2.PredictResponse()
        for name, value in self.outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            for dimension, size in zip(
                response.outputs[name].tensor_shape.dim, self.shapes.get(name, ()), strict=False
            ):
                dimension.size = size
        return response


OUTPUTS = {
    "probabilities": np.array([[0.25, 0.75]], "float32"),
    "attributes": np.array([["Bald", "Male"]]),
    "error": np.array([""]),
}


@contextlib.contextmanager
def _running(certificate=None):
    """A running `_Service`; `certificate` is a pair of private key and certificate chain."""
    service, server = _Service(), grpc.server(ThreadPoolExecutor(2))
    service.outputs, service.shapes = dict(OUTPUTS), {}
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    if certificate:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([certificate]))
        service.url = f"grpcs://127.0.0.1:{port}"
    else:
        service.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(0)


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(client, "_BACKOFF", tenacity.wait_fixed(0.01))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with _running() as service:
        yield service


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "face.jpg"
    path.write_bytes(GOOD["jpeg"])
    return path


def test_outputs_become_probabilities_by_attribute(service, image):
    assert [*predict_on_server(service.url, [image])] == [(image, {"Bald": 0.25, "Male": 0.75})]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"probabilities": np.array([[0.25, 0.75]])}, "`probabilities` has another type or shape"),
        ({"probabilities": np.array([0.25, 0.75], "float32")}, "`probabilities` has another type"),
        ({"probabilities": np.array([[1.0]], "float32")}, "1 probabilities for 2 attributes"),
        ({"attributes": np.array([[1, 2]])}, "`attributes` has another type"),
        ({"attributes": np.array([[b"\xff", b"a"]])}, "the output `attributes` is not UTF-8"),
        ({"error": np.array(["", ""])}, "different numbers of rows"),
        ({name: value[:0] for name, value in OUTPUTS.items()}, "0 predictions for 1 images"),
        ({"error": None}, "the output `error` is missing"),
    ],
)
def test_other_outputs_are_refused(service, image, outputs, message):
    service.outputs |= outputs
    service.outputs = {name: value for name, value in service.outputs.items() if value is not None}
    with pytest.raises(ServerError, match=rf"{service.url}/faramtn: .*can't be read: .*{message}"):
        list(predict_on_server(service.url, [image]))
    assert service.requests == 1


@pytest.mark.parametrize("shape", [(1, 2**40), (2**31, 2**31), (-1, 2)])
def test_a_short_message_that_stands_for_a_huge_array_is_refused(service, image, shape):
    service.shapes = {"probabilities": shape}
    with pytest.raises(
        ServerError, match=rf"`probabilities` has the shape \({shape[0]}, {shape[1]}"
    ):
        list(predict_on_server(service.url, [image]))


def test_a_response_that_is_too_large_is_refused(service, image):
    service.outputs["error"] = np.array(["x" * serving_response.MAX_RESPONSE_BYTES])
    with pytest.raises(ServerError, match=r"RESOURCE_EXHAUSTED: .*larger than max.*; check that"):
        list(predict_on_server(service.url, [image]))
    assert service.requests == 1


# gRPC reads its environment only once per process.
_CLIENT = """
import sys
from keras_faramtn.inference.serving_client import predict_on_server
print(len(list(predict_on_server(sys.argv[1], [sys.argv[2]], timeout=20))))
"""


def test_tls_certificates_are_verified(image, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    chain = b"".join(certificate.bytes() for certificate in issued.cert_chain_pems)
    with _running((issued.private_key_pem.bytes(), chain)) as service:
        with pytest.raises(ServerError, match=r"UNAVAILABLE: .*(?i:certificate|handshake)"):
            list(predict_on_server(service.url, [image]))
        assert service.requests == 0
        result = subprocess.run(
            [sys.executable, "-c", _CLIENT, service.url, str(image)],
            env={**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(tmp_path / "ca.pem")},
            capture_output=True,
            text=True,
            check=True,
        )
    assert result.stdout == "1\n"
