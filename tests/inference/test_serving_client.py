import http.server
import json
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
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
    monkeypatch.setattr(client, "_RETRY_DELAYS", (0.01, 0.02, 0.03))
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
    with pytest.raises(InputError, match=r"20_text\.png: this file can't be read as an image\.$"):
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


def test_a_slow_server_times_out(server, address, folder):
    server[0].faults = [1.0] * 4
    started = time.perf_counter()
    with pytest.raises(ServerError, match="A slow server needs a longer timeout"):
        list(predict_on_server(address, [folder / "00.jpeg"], timeout=0.1))
    assert time.perf_counter() - started < 4
    server[0].faults = [1.0]
    [(_, probabilities)] = predict_on_server(address, [folder / "00.jpeg"], timeout=0.5)
    assert len(probabilities) == 40


def test_a_refusal_is_not_retried(server, address, folder):
    other = address.replace("/faramtn", "/other")
    with pytest.raises(ServerError, match=r"/other.*Servable not found for request: Latest\(other"):
        list(predict_on_server(other, [folder / "00.jpeg"]))
    assert server[0].sizes == [1]


def test_the_model_name_is_optional(address, folder):
    short = address[: address.index("/", len("grpc://"))]
    assert len(list(predict_on_server(short, [folder]))) == 40


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_an_unreachable_server_is_reported(scheme, folder, monkeypatch):
    monkeypatch.setattr(client, "_RETRY_DELAYS", (0.01,))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as bound:  # but not listening
        bound.bind(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ServerError, match=rf"{address}: no response in 2 attempts.*refused"):
            list(predict_on_server(address, [folder]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Welcome</html>", "the response can't be read; check that it serves a model that"),
        (b'{"predictions": [[0.1, 0.9]]}', "the response can't be read"),
        (b'{"predictions": []}', "0 predictions for 1 images"),
        (b'{"predictions": [{"error": "", "attributes": ["a"], "probabilities": []}]}', "be read"),
    ],
)
def test_another_kind_of_server_is_reported(folder, body, message, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(ServerError, match=message):
            list(predict_on_server(f"http://127.0.0.1:{other.server_port}", [folder / "00.jpeg"]))
        other.shutdown()


@pytest.mark.parametrize(
    "address",
    ["localhost:8501", "ftp://host/model", "http://", "grpc://host:many", "http://h:99999"],
)
def test_an_invalid_address_is_refused(address, folder):
    with pytest.raises(InputError, match="this is not a server address; give http://HOST:8501"):
        predict_on_server(address, [folder])


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
    arguments = ["predict", "--server", server[1]["http"], str(folder), "--output", str(output)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["image"] for row in rows] == [str(file) for file in sorted(folder.iterdir())]
    assert tuple(rows[0]["probabilities"]) == CELEBA_ATTRIBUTES
