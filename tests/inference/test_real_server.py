"""Tests with a real TensorFlow Serving server.

Run `PYTHONPATH=tests python tests/served.py FOLDER`, then `docker compose up` in FOLDER, and then
these tests with FARAMTN_TF_SERVING=HOST. The ports are those of the compose file.
"""

import os
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mutated import encode, mutations
from sensitive_network import sensitive_network
from served import SIZE

from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.inference.serving_client import predict_on_server
from keras_faramtn.models import inference_model

HOST = os.environ.get("FARAMTN_TF_SERVING")

pytestmark = pytest.mark.skipif(
    not HOST, reason="no TensorFlow Serving server: FARAMTN_TF_SERVING is not set"
)


@pytest.fixture(params=["http", "grpc"])
def address(request):
    return {"http": f"http://{HOST}:8501", "grpc": f"grpc://{HOST}:8500"}[request.param]


@pytest.fixture(scope="module", autouse=True)
def _ready():
    for _ in range(60):
        try:
            urllib.request.urlopen(f"http://{HOST}:8501/v1/models/faramtn/metadata", timeout=5)
            return
        except OSError:
            time.sleep(1)
    pytest.fail(f"TensorFlow Serving at {HOST} has no model faramtn ready after a minute")


@pytest.fixture
def folder(tmp_path):
    for number in range(40):
        kind = ("JPEG", "PNG")[number % 2]
        (tmp_path / f"{number:02d}.{kind.lower()}").write_bytes(encode(kind, seed=number))
    return tmp_path


def _probabilities(address, folder):
    return np.array([list(result.values()) for _, result in predict_on_server(address, [folder])])


def test_probabilities_are_those_of_the_model(address, folder):
    images = [decode_and_resize(file.read_bytes(), SIZE) for file in sorted(folder.iterdir())]
    expected = inference_model(sensitive_network(SIZE)).predict(np.stack(images), verbose=0)
    np.testing.assert_allclose(_probabilities(address, folder), expected, atol=1e-3)


def test_requests_in_one_batch_do_not_affect_each_other(address, folder, tmp_path_factory):
    bad = tmp_path_factory.mktemp("bad")
    for number, content in enumerate(mutations(400)):
        (bad / f"{number:03d}.jpg").write_bytes(content)
    alone = _probabilities(address, folder)
    with ThreadPoolExecutor(8) as pool:
        broken = [
            pool.submit(lambda: list(predict_on_server(address, [bad], skip_bad=True)))
            for _ in range(3)
        ]
        good = [pool.submit(_probabilities, address, folder) for _ in range(5)]
        for result in good:
            np.testing.assert_allclose(result.result(), alone, atol=1e-3)
        assert len({len(result.result()) for result in broken}) == 1
