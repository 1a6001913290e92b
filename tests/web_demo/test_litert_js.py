"""The download of LiteRT.js; `test_page` runs the downloaded files in a browser."""

import functools
import http.server
import socket
import threading

import pytest

from keras_faramtn.errors import ServerError
from keras_faramtn.web_demo import litert_js
from keras_faramtn.web_demo.litert_js import fetch_package, write_litert_js


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setattr(litert_js, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A local registry, whose package `core` has the wrong content."""
    package = tmp_path / "registry" / "@litertjs" / "core" / "-" / "core-2.5.3.tgz"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"another file")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=tmp_path / "registry"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(litert_js, "_REGISTRY", url)
        yield url
        server.shutdown()


def test_an_unreachable_registry_is_reported_with_the_url_and_the_path(cache, monkeypatch):
    with socket.socket() as bound:  # but not listening
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        monkeypatch.setattr(litert_js, "_REGISTRY", address)
        with pytest.raises(ServerError) as caught:
            fetch_package("core")
    message = str(caught.value)
    assert message.startswith(f"{address}/@litertjs/core/-/core-2.5.3.tgz: can't be downloaded")
    assert "needed only once" in message
    assert message.endswith(f"save it as {cache / 'litertjs-core-2.5.3.tgz'}")


def test_a_missing_package_is_reported(cache, registry):
    with pytest.raises(ServerError, match=r"wasm-utils-2\.5\.3\.tgz: can't be downloaded \(404"):
        fetch_package("wasm-utils")


def test_a_wrong_checksum_is_reported_and_nothing_is_kept(cache, registry):
    url = rf"{registry}/@litertjs/core/-/core-2\.5\.3\.tgz"
    with pytest.raises(ServerError, match=f"{url}: the downloaded file has a wrong checksum"):
        fetch_package("core")
    assert list(cache.iterdir()) == []


def test_packages_in_the_cache_need_no_network(tmp_path, monkeypatch):
    fetch_package("core")
    fetch_package("wasm-utils")
    monkeypatch.setattr(litert_js, "_REGISTRY", "http://127.0.0.1:1")
    write_litert_js(tmp_path)
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == {
        *("core.js", "wasm_utils.js"),
        *("litert_wasm_compat_internal.js", "litert_wasm_compat_internal.wasm.gzip"),
    }
    # No import of an npm package and no source map is left, which a page could not load.
    for name in ("core.js", "wasm_utils.js"):
        text = files[name].read_text()
        assert 'from "@' not in text
        assert "sourceMappingURL" not in text
    assert files["core.js"].read_text().startswith('// Changed: the import of "@litertjs/wasm-uti')
