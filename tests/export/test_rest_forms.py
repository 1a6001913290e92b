"""The documented forms of requests to TensorFlow Serving's REST API, as other clients use them."""

import base64

import numpy as np
import pytest
import requests
from mutated import GOOD
from served import SIZE, exported_once, faces
from tf_serving import serve

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.decoding import decode_and_resize

FILES = [GOOD["jpeg"], GOOD["png"]]


@pytest.fixture(scope="module")
def url():
    with serve(exported_once()[0] / "saved_model" / "1", "faramtn") as (_, urls):
        yield urls["http"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def _post(url, expected_status=200, **body):
    response = requests.post(f"{url}:predict", json=body, timeout=60)
    assert response.status_code == expected_status, response.text
    return response.json()


def _b64(file):
    return {"b64": base64.b64encode(file).decode()}


def _expected(images):
    return exported_once()[1].predict(np.asarray(images), verbose=0)


def _expected_of_files():
    return _expected([decode_and_resize(file, SIZE) for file in FILES])


def _check_rows(rows, expected, outputs):
    assert all(set(row) == outputs for row in rows)
    assert all(tuple(row["attributes"]) == CELEBA_ATTRIBUTES for row in rows)
    assert all(row.get("error", "") == "" for row in rows)
    np.testing.assert_allclose([row["probabilities"] for row in rows], expected, atol=1e-4)


def _check_columns(columns, expected, outputs):
    assert set(columns) == outputs
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    _check_rows(rows, expected, outputs)


PIXEL_OUTPUTS = {"probabilities", "attributes"}
FILE_OUTPUTS = {*PIXEL_OUTPUTS, "error"}


@pytest.mark.parametrize("options", [{}, {"signature_name": "serving_default"}])
@pytest.mark.parametrize("named", [False, True])
def test_rows_of_pixels(url, options, named):
    images = faces(2).tolist()
    instances = [{"images": image} for image in images] if named else images
    response = _post(url, instances=instances, **options)
    _check_rows(response["predictions"], _expected(faces(2)), PIXEL_OUTPUTS)


@pytest.mark.parametrize("named", [False, True])
def test_columns_of_pixels(url, named):
    images = faces(2).tolist()
    inputs = {"images": images} if named else images
    response = _post(url, inputs=inputs, signature_name="serve_uint8")
    _check_columns(response["outputs"], _expected(faces(2)), PIXEL_OUTPUTS)


@pytest.mark.parametrize("named", [False, True])
def test_rows_of_files(url, named):
    instances = [{"image_bytes": _b64(file)} if named else _b64(file) for file in FILES]
    response = _post(url, instances=instances, signature_name="serve_bytes")
    _check_rows(response["predictions"], _expected_of_files(), FILE_OUTPUTS)


@pytest.mark.parametrize("named", [False, True])
def test_columns_of_files(url, named):
    files = [_b64(file) for file in FILES]
    inputs = {"image_bytes": files} if named else files
    response = _post(url, inputs=inputs, signature_name="serve_bytes")
    _check_columns(response["outputs"], _expected_of_files(), FILE_OUTPUTS)


def test_an_empty_column(url):
    response = _post(url, inputs={"image_bytes": []}, signature_name="serve_bytes")
    assert response["outputs"] == {"probabilities": [], "attributes": [], "error": []}


@pytest.mark.parametrize("path", ["", "/versions/1", "/labels/stable"])
def test_versions_and_labels(url, path):
    response = _post(url + path, instances=[_b64(FILES[0])], signature_name="serve_bytes")
    assert response["predictions"][0]["error"] == ""
    status = requests.get(url + path, timeout=60).json()
    version = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    assert status == {"model_version_status": [version]}


def test_metadata_describe_the_signatures(url):
    metadata = requests.get(f"{url}/metadata", timeout=60).json()
    assert metadata["model_spec"] == {"name": "faramtn", "signature_name": "", "version": "1"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    served = {
        name: (
            {key: value["dtype"] for key, value in signature["inputs"].items()},
            {key: value["dtype"] for key, value in signature["outputs"].items()},
        )
        for name, signature in signatures.items()
        if not name.startswith("__")
    }
    outputs = {"probabilities": "DT_FLOAT", "attributes": "DT_STRING"}
    assert served == {
        "serving_default": ({"images": "DT_FLOAT"}, outputs),
        "serve_uint8": ({"images": "DT_UINT8"}, outputs),
        "serve_bytes": ({"image_bytes": "DT_STRING"}, {**outputs, "error": "DT_STRING"}),
        "model_record": (
            {"request": "DT_STRING"},
            {"record": "DT_STRING", "image_size": "DT_INT32"},
        ),
    }
    dimensions = signatures["serve_uint8"]["inputs"]["images"]["tensor_shape"]["dim"]
    assert [dimension["size"] for dimension in dimensions] == ["-1", "64", "48", "3"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"instances": []}),
        (400, {}),
        (400, {"instances": [1], "inputs": [1]}),
        (400, {"instances": [{"pixels": 1}]}),
        (400, {"inputs": {"pixels": [1]}}),
        (400, {"instances": [[[1, 2, 3]]]}),  # not of the model's size
        (400, {"instances": ["text"]}),
    ],
)
def test_invalid_requests_get_an_error_message(url, status, body):
    assert set(_post(url, status, **body)) == {"error"}


def test_unknown_paths_get_an_error_message(url):
    other = url.replace("faramtn", "other")
    for address, status in {
        other: 404,
        f"{other}/metadata": 404,
        f"{url}/versions/2": 404,
        f"{url}/labels/canary": 400,
        f"{url}/other": 400,
    }.items():
        response = requests.get(address, timeout=60)
        assert (response.status_code, set(response.json())) == (status, {"error"})
