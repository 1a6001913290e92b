import base64
import contextlib
import gzip
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tenacity
import trustme
from mutated import GOOD

from keras_faramtn.errors import ServerError
from keras_faramtn.inference import serving_client as client
from keras_faramtn.inference import serving_response, serving_rest
from keras_faramtn.inference.serving_client import predict_on_server

ROW = {"attributes": ["Smiling"], "probabilities": [0.75], "error": ""}
BODY = json.dumps({"predictions": [ROW]}).encode()


class _Handler(BaseHTTPRequestHandler):
    """Sends the responses of the test, the last one again and again; records the requests."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), json.loads(body)))
        number = min(len(self.server.requests), len(self.server.responses)) - 1
        with contextlib.suppress(ConnectionError):  # the client gave up
            self.server.responses[number](self)

    do_GET = do_POST

    def log_message(self, *_):
        pass


def respond(status=200, body=BODY, **headers):
    """A response; `headers` with underscores for hyphens."""

    def send(handler):
        handler.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def drip(pieces, seconds=0.05):
    """A response whose bytes arrive slowly, for at most five seconds."""

    def send(handler):
        for piece, _ in zip(pieces, range(int(5 / seconds)), strict=False):
            handler.wfile.write(piece)
            time.sleep(seconds)

    return send


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(client, "_BACKOFF", tenacity.wait_fixed(0.01))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.requests, server.responses = [], [respond()]
        server.url = f"http://127.0.0.1:{server.server_port}/v1/models/faramtn"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "face.jpg"
    path.write_bytes(GOOD["jpeg"])
    return path


def _predict(url, image, timeout=5.0):
    [(_, probabilities)] = predict_on_server(url, [image], timeout=timeout)
    return probabilities


def test_the_request_is_the_documented_one(server, image):
    assert _predict(server.url, image) == {"Smiling": 0.75}
    [(path, headers, body)] = server.requests
    assert path == "/v1/models/faramtn:predict"
    assert headers["Content-Type"] == "application/json"
    encoded = base64.b64encode(GOOD["jpeg"]).decode()
    assert body == {"signature_name": "serve_bytes", "instances": [{"b64": encoded}]}


@pytest.mark.parametrize(
    "failure",
    [
        *(respond(status, b'{"error": "busy"}') for status in (429, 502, 503, 504)),
        respond(Content_Length=len(BODY) + 1),  # and closes the connection
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le"),
        lambda handler: handler.connection.close(),
        lambda handler: handler.wfile.write(
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"pre\r\n'
        ),
    ],
    ids=["429", "502", "503", "504", "truncated", "half a header", "closed", "half a chunk"],
)
def test_temporary_failures_are_retried(server, image, failure):
    server.responses = [failure, failure, respond()]
    assert _predict(server.url, image) == {"Smiling": 0.75}
    assert len(server.requests) == 3
    server.responses = [failure]
    with pytest.raises(ServerError, match="no response in 4 attempts: "):
        _predict(server.url, image)
    assert len(server.requests) == 7


@pytest.mark.parametrize("status", [400, 401, 404, 412, 500])
def test_other_failures_are_not_retried(server, image, status):
    server.responses = [respond(status, b'{"error": "no\\u001b[2J such\\nmodel"}')]
    message = rf"HTTP {status}: no\?\[2J such model; check that it serves a model"
    with pytest.raises(ServerError, match=message):
        _predict(server.url, image)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("pieces", "seconds"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b" "] * 900], 0.05),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X"] * 900], 0.05),
        ([b"H"] * 900, 0.05),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" ", b" "], 0.9),
    ],
    ids=["body", "header", "status line", "long silences"],
)
def test_a_server_that_sends_slowly_times_out(server, image, pieces, seconds):
    server.responses = [drip(pieces, seconds)]
    started = time.perf_counter()
    with pytest.raises(ServerError, match="A slow server needs a longer timeout than 1 s"):
        _predict(server.url, image, timeout=1)
    assert 0.9 < time.perf_counter() - started < 1.5


def test_a_server_may_demand_a_delay(server, image):
    server.responses = [respond(503, b"", Retry_After=1), respond()]
    started = time.perf_counter()
    assert _predict(server.url, image) == {"Smiling": 0.75}
    assert 1 <= time.perf_counter() - started < 2


@pytest.mark.parametrize("delay", ["60", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_delay_beyond_the_timeout_is_not_waited_for(server, image, delay):
    server.responses = [respond(429, b'{"error": "too many"}', Retry_After=delay)]
    started = time.perf_counter()
    with pytest.raises(ServerError, match="no response in 1 attempt: HTTP 429: too many"):
        _predict(server.url, image)
    assert time.perf_counter() - started < 1


def test_an_invalid_delay_is_ignored(server, image):
    server.responses = [respond(503, b"", Retry_After="soon"), respond()]
    assert _predict(server.url, image) == {"Smiling": 0.75}


@pytest.mark.parametrize("compressed", [False, True])
def test_a_response_that_is_too_large_is_refused(server, image, monkeypatch, compressed):
    monkeypatch.setattr(serving_rest, "MAX_RESPONSE_BYTES", 100_000)
    body = BODY + b" " * 100_000
    server.responses = [
        respond(body=gzip.compress(body), Content_Encoding="gzip")
        if compressed
        else respond(body=body)
    ]
    with pytest.raises(ServerError, match="the response has more than 100,000 bytes; check"):
        _predict(server.url, image)
    assert len(server.requests) == 1


def test_the_limit_of_a_response_leaves_room_for_a_thousand_attributes():
    row = {"attributes": ["a" * 30] * 1000, "probabilities": [1 / 3] * 1000, "error": ""}
    size = len(json.dumps({"predictions": [row] * client._BATCH_IMAGES}))
    assert 5 * size < serving_response.MAX_RESPONSE_BYTES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(server, image, status):
    location = (
        f"http://user:secret@127.0.0.1:{server.server_port}/v1/models/other:predict?key=secret"
    )
    server.responses = [respond(status, b"", Location=location), respond()]
    with pytest.raises(
        ServerError, match=r"redirects to http://127.*/v1/models/other:pre"
    ) as raised:
        _predict(server.url, image)
    assert "secret" not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Welcome</html>", "the response can't be read: Expecting value.*check that it"),
        (b"", "can't be read"),
        (b"\xff\xfe", "can't be read"),
        (b"[" * 100_000, "can't be read: there are no `predictions`"),
        (b"[]", "there are no `predictions`"),
        (b"{}", "there are no `predictions`"),
        (b'{"predictions": [[0.1, 0.9]]}', "a prediction has no names of outputs"),
        (b'{"predictions": []}', "0 predictions for 1 images"),
    ],
)
def test_another_kind_of_server_is_reported(server, image, body, message):
    server.responses = [respond(body=body)]
    with pytest.raises(ServerError, match=message):
        _predict(server.url, image)
    assert len(server.requests) == 1


def test_credentials_are_sent_and_never_shown(server, image):
    url = server.url.replace("http://", "http://us%40er:sec%3Aret@")
    assert _predict(url, image) == {"Smiling": 0.75}
    expected = base64.b64encode(b"us@er:sec:ret").decode()
    assert server.requests[0][1]["Authorization"] == f"Basic {expected}"
    for response in (respond(401, b""), respond(503, b""), respond(307, b"", Location="/x")):
        server.responses = [response]
        with pytest.raises(ServerError) as raised:
            _predict(url, image)
        assert str(raised.value).startswith(server.url)
        assert "ret" not in str(raised.value).replace("retry", "")


def test_proxies_are_those_of_the_environment(server, image, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    url = "http://tf-serving.invalid:8501/v1/models/faramtn"
    assert _predict(url, image) == {"Smiling": 0.75}
    assert server.requests[0][0] == f"{url}:predict"


def test_a_proxy_that_fails_is_reported_without_its_password(image, monkeypatch):
    monkeypatch.setattr(client, "_BACKOFF", tenacity.wait_fixed(0.01))
    for proxy in ("http://user:secret@127.0.0.1:1", "http://user:secret@host:99999"):
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(ServerError, match="prox") as raised:
            _predict("http://tf-serving.invalid", image)
        assert "secret" not in str(raised.value)


def test_tls_certificates_are_verified(server, image, tmp_path, monkeypatch):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http://", "https://")
    with pytest.raises(ServerError, match=r"no secure connection: .*certificate verify failed"):
        _predict(url, image)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert _predict(url, image) == {"Smiling": 0.75}
