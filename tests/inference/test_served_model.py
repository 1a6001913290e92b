import dataclasses
import sys

import numpy as np
import pytest
import tenacity
from PIL import Image
from served import SIZE, THRESHOLDS, exported_once, faces
from tf_serving import serve

from keras_faramtn import cli
from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.inference import served_model, serving_client
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.inference.loading import load_predictor, read_record
from keras_faramtn.model_record import ModelRecord


@pytest.fixture(scope="module")
def server():
    with serve(exported_once()[0] / "saved_model" / "1", "faramtn") as running:
        yield running


@pytest.fixture(params=["http", "grpc"])
def address(request, server, monkeypatch):
    serving, addresses = server
    serving.faults.clear()
    monkeypatch.setattr(serving_client, "_BACKOFF", tenacity.wait_fixed(0.01))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return addresses[request.param]


def test_a_server_predicts_as_the_model_and_describes_it(server, address):
    server[0].faults.append("UNAVAILABLE")  # the request is repeated
    predictor = load_predictor(address)
    record = ModelRecord(FACE_REGIONS, thresholds=THRESHOLDS)
    assert (predictor.image_size, predictor.record) == (SIZE, record)
    assert read_record(address) == predictor.record
    expected = exported_once()[1].predict(faces(5), verbose=0)
    assert expected.std() > 0.05
    rows = predictor.predict(faces(5))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_image_files_are_predicted_in_batches(server, address, tmp_path):
    for number, face in enumerate(faces(35)):
        Image.fromarray(face).save(tmp_path / f"{number:02}.png")
    server[0].sizes.clear()
    rows = [list(each.values()) for _, each in predict_files(address, [tmp_path])]
    assert server[0].sizes == [1, 32, 3]  # the first one describes the model
    expected = exported_once()[1].predict(faces(35), verbose=0)
    np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_the_command_shows_the_attributes_above_the_recorded_thresholds(
    address, tmp_path, monkeypatch, capsys
):
    for number, face in enumerate(faces(2)):
        Image.fromarray(face).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(sys, "argv", ["faramtn", "predict", address, str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    lines = capsys.readouterr().out.splitlines()
    for line, probabilities in zip(lines, exported_once()[1].predict(faces(2)), strict=True):
        names = {part.split()[0] for part in line.partition(": ")[2].split(", ")}
        assert names == set(np.array(CELEBA_ATTRIBUTES)[probabilities > THRESHOLDS])
        assert names != set(np.array(CELEBA_ATTRIBUTES)[probabilities > 0.5])


def test_a_model_without_a_record_is_reported(address, monkeypatch):
    other = dataclasses.replace(served_model.RECORD, name="describe")
    monkeypatch.setattr(served_model, "RECORD", other)
    with pytest.raises(ServerError, match=r"describe.*check that it serves a model that `faramtn"):
        load_predictor(address)


def test_a_replaced_model_is_reported(address, monkeypatch):
    predictor = load_predictor(address)
    monkeypatch.setattr(served_model, "query_images", lambda *_: [{"Smiling": 0.5, "Young": 0.25}])
    with pytest.raises(ServerError, match="it predicts other attributes than its record names"):
        predictor.predict(faces(1))


def test_other_urls_are_refused():
    for url in ("ftp://localhost/faramtn", "s3://bucket/model.tflite"):
        with pytest.raises(InputError, match=r"it must start with http://, https://, grpc://"):
            load_predictor(url)
