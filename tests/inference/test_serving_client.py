import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tenacity
import tensorflow as tf
from mutated import GOOD, encode
from PIL import Image
from served import SIZE, exported_once
from tf_serving import serve

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.inference import serving_client as client
from keras_faramtn.inference.serving_client import predict_on_server


@pytest.fixture(scope="module")
def inference():
    return exported_once()[1]


@pytest.fixture(scope="module")
def server():
    with serve(exported_once()[0] / "saved_model" / "1", "faramtn") as running:
        yield running


@pytest.fixture(params=["http", "grpc"])
def address(request, server, monkeypatch):
    """The URL of the server, which has had no request yet; retries are fast."""
    serving, addresses = server
    serving.sizes.clear()
    serving.faults.clear()
    monkeypatch.setattr(client, "_BACKOFF", tenacity.wait_fixed(0.01))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return addresses[request.param]


@pytest.fixture
def folder(tmp_path):
    """Forty images, alternately JPEG and PNG."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(40):
        kind = ("JPEG", "PNG")[number % 2]
        (folder / f"{number:02d}.{kind.lower()}").write_bytes(encode(kind, seed=number))
    return folder


def _expected(inference, paths):
    images = [decode_and_resize(image.read_bytes(), SIZE) for image in paths]
    return inference.predict(np.stack(images), verbose=0)


def test_a_folder_is_predicted_in_order_and_in_batches(server, address, inference, folder):
    results = list(predict_on_server(address, [folder]))
    paths = sorted(folder.iterdir())
    assert [image for image, _ in results] == paths
    assert all(tuple(probabilities) == CELEBA_ATTRIBUTES for _, probabilities in results)
    numbers = np.array([list(probabilities.values()) for _, probabilities in results])
    np.testing.assert_allclose(numbers, _expected(inference, paths), atol=1e-4)
    assert server[0].sizes == [32, 8]


def test_large_images_are_sent_in_smaller_batches(server, address, folder, monkeypatch):
    sizes = [file.stat().st_size for file in sorted(folder.iterdir())[:3]]
    monkeypatch.setattr(client, "_BATCH_BYTES", sizes[0] + sizes[1])
    list(predict_on_server(address, sorted(folder.iterdir())[:3]))
    assert server[0].sizes == [2, 1]


def test_images_that_the_server_does_not_support_are_sent_as_png(address, inference, tmp_path):
    patches = np.random.default_rng(0).integers(0, 256, (4, 3, 3), dtype="uint8")
    image = Image.fromarray(patches).resize((53, 71))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise by 90 degrees to see it upright
    for name, options in {
        "a.bmp": {},
        "b.webp": {"lossless": True},
        "rotated.jpg": {"exif": exif, "quality": 95},
        "rotated.png": {"exif": exif},
    }.items():
        image.save(tmp_path / name, **options)
    results = {path.name: result for path, result in predict_on_server(address, [tmp_path])}
    pixels = np.asarray(image)
    jpeg = tf.io.decode_jpeg((tmp_path / "rotated.jpg").read_bytes(), dct_method="INTEGER_ACCURATE")
    for name, upright in {
        "a.bmp": pixels,
        "b.webp": pixels,
        "rotated.jpg": np.rot90(jpeg.numpy(), -1),
        "rotated.png": np.rot90(pixels, -1),
    }.items():
        image = decode_and_resize(tf.io.encode_png(upright), SIZE)
        expected = inference.predict(image[None].numpy(), verbose=0)[0]
        np.testing.assert_allclose(list(results[name].values()), expected, atol=1e-3)


def test_bad_images_are_reported_by_client_or_server(server, address, folder, caplog):
    (folder / "10_half.jpg").write_bytes(GOOD["jpeg"][:900])
    (folder / "20_text.png").write_text("not an image")
    with pytest.raises(InputError, match=r"10_half\.jpg: the server reports: the image is damaged"):
        list(predict_on_server(address, [folder]))
    with pytest.raises(
        InputError, match=r"20_text\.png: this file can't be read as an image: it is"
    ):
        list(predict_on_server(address, [folder / "20_text.png"]))
    results = list(predict_on_server(address, [folder], skip_bad=True))
    assert len(results) == 40
    damaged, not_an_image, summary = caplog.messages
    assert "10_half.jpg: the server reports" in damaged
    assert "20_text.png: this file can't be read" in not_an_image
    assert summary == "2 of 42 images were skipped."


def test_temporary_failures_are_retried(server, address, folder):
    server[0].faults = ["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]
    [(_, probabilities)] = predict_on_server(address, [folder / "00.jpeg"])
    assert len(probabilities) == 40
    assert server[0].sizes == [1, 1, 1, 1]


def test_repeated_failures_are_reported(server, address, folder):
    server[0].faults = ["UNAVAILABLE"] * 4
    with pytest.raises(ServerError, match=r"no response in 4 attempts: .*requested by the test"):
        list(predict_on_server(address, [folder / "00.jpeg"]))
    assert server[0].sizes == [1] * 4


def test_the_timeout_is_the_total_time_of_a_request(server, address, folder):
    server[0].faults = [1.0] * 4
    started = time.perf_counter()
    with pytest.raises(
        ServerError, match=r"no response in 1 attempt: .*longer timeout than 0\.3 s"
    ):
        list(predict_on_server(address, [folder / "00.jpeg"], timeout=0.3))
    assert time.perf_counter() - started < 0.9
    server[0].faults = [0.5]
    [(_, probabilities)] = predict_on_server(address, [folder / "00.jpeg"], timeout=5)
    assert len(probabilities) == 40


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e10])
def test_a_timeout_is_a_positive_number(folder, timeout):
    with pytest.raises(InputError, match=r"timeout: .* is not a number of seconds between 0"):
        predict_on_server("http://localhost", [folder], timeout=timeout)


def test_a_refusal_is_not_retried(server, address, folder):
    other = address.replace("/faramtn", "/other")
    with pytest.raises(ServerError, match=r"/other.*Servable not found for request: Latest\(other"):
        list(predict_on_server(other, [folder / "00.jpeg"]))
    assert server[0].sizes == [1]


@pytest.mark.parametrize("suffix", ["/versions/1", "/labels/stable"])
def test_a_version_or_label_may_be_chosen(address, folder, suffix):
    assert len(list(predict_on_server(address + suffix, [folder / "00.jpeg"]))) == 1


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("/versions/7", r"/versions/7: .*Servable not found for request: Specific\(faramtn, 7"),
        ("/labels/canary", "/labels/canary: .*Unrecognized servable version label: canary"),
    ],
)
def test_an_unknown_version_or_label_is_reported(address, folder, suffix, message):
    with pytest.raises(ServerError, match=message):
        list(predict_on_server(address + suffix, [folder / "00.jpeg"]))


def test_the_model_name_is_optional(address, folder):
    short = address[: address.index("/", len("grpc://"))]
    assert len(list(predict_on_server(short, [folder]))) == 40


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_an_unreachable_server_is_reported(scheme, folder, monkeypatch):
    monkeypatch.setattr(client, "_BACKOFF", tenacity.wait_fixed(0.01))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as bound:  # but not listening
        bound.bind(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ServerError, match=rf"{address}/.*no response in 4 attempts.*refused"):
            list(predict_on_server(address, [folder]))


def test_the_second_response_may_have_the_attributes_in_another_order(folder, monkeypatch):
    rows = iter([{"Bald": 0.25, "Male": 0.75}, {"Male": 0.5, "Bald": 0.125}])
    _respond_with(monkeypatch, lambda: [_row(next(rows))])
    first, second = predict_on_server("http://localhost", sorted(folder.iterdir())[:2])
    assert list(first[1].items()) == [("Bald", 0.25), ("Male", 0.75)]
    assert list(second[1].items()) == [("Bald", 0.125), ("Male", 0.5)]


def test_a_model_replaced_by_another_is_reported(folder, monkeypatch):
    rows = iter([{"Bald": 0.25, "Male": 0.75}, {"Bald": 0.25, "Smiling": 0.75}])
    _respond_with(monkeypatch, lambda: [_row(next(rows))])
    results = predict_on_server("http://localhost", sorted(folder.iterdir())[:2])
    assert next(results)[1] == {"Bald": 0.25, "Male": 0.75}
    with pytest.raises(
        ServerError, match=r"its attributes for .*01\.png differ from those for earl"
    ):
        next(results)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.001, 1.001])
def test_numbers_outside_0_to_1_make_an_image_bad(folder, monkeypatch, value):
    numbers = iter([0.5, value, 0.5, value])
    _respond_with(monkeypatch, lambda: [_row({"Smiling": next(numbers)})])
    images = sorted(folder.iterdir())[:2]
    [(path, _)] = predict_on_server("http://localhost", images, skip_bad=True)
    assert path.name == "00.jpeg"
    with pytest.raises(InputError, match=r"01\.png: the model predicts .* for Smiling, but a prob"):
        list(predict_on_server("http://localhost", images))


def _row(probabilities):
    return {
        "attributes": list(probabilities),
        "probabilities": list(probabilities.values()),
        "error": "",
    }


def _respond_with(monkeypatch, rows):
    """Replaces the server by a function; each request has one image."""
    monkeypatch.setattr(client, "_BATCH_IMAGES", 1)
    monkeypatch.setattr(client, "connect_rest", lambda *_: lambda *_: rows())


def test_an_invalid_address_is_refused(folder):
    with pytest.raises(InputError, match=r"ftp://host: this is not a server address: .* Use http"):
        predict_on_server("ftp://host", [folder])


def test_a_missing_serving_api_is_reported_with_the_command_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    with pytest.raises(InputError, match=r"pip install 'keras-faramtn\[serving\]'"):
        predict_on_server("grpc://localhost", [folder])


def test_rest_works_without_tensorflow_and_the_command_writes_json_lines(server, folder, tmp_path):
    script = (
        "import sys; from keras_faramtn.cli import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = {'keras', 'tensorflow', 'grpc', 'ai_edge_litert'} & set(sys.modules)\n"
        "    assert not heavy, heavy"
    )
    output = tmp_path / "out.jsonl"
    arguments = ["predict", server[1]["http"], str(folder), "--output", str(output)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["image"] for row in rows] == [str(file) for file in sorted(folder.iterdir())]
    assert tuple(rows[0]["probabilities"]) == CELEBA_ATTRIBUTES
