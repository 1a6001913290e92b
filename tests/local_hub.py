"""A Hugging Face hub on this computer, and its cache, for tests without a network."""

import contextlib
import hashlib
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fill_cache(cache, repository, folder, names=None):
    """Puts files of `folder` into a cache of the hub, as after a download of only these."""
    store = Path(cache, f"models--{repository.replace('/', '--')}")
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text(COMMIT)
    (store / "blobs").mkdir()
    paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if names is not None and name not in names:
            continue
        content = path.read_bytes()
        blob = store / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        link = store / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return store


@contextlib.contextmanager
def running_hub(repositories):
    """Serves folders, by `owner/name`, as the hub serves model repositories.

    A value that is a number is the status that the hub responds with instead. Yields the URL, and a
    list that gets the name of each downloaded file.
    """
    downloads = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self._api("/".join(parts[2:4]), parts[4:])
            elif parts[2:3] == ["resolve"]:
                self._file("/".join(parts[:2]), "/".join(parts[4:]))
            else:
                self._respond(404)

        def _api(self, repository, rest):
            folder = repositories.get(repository, 401)
            if isinstance(folder, int):
                self._refuse(folder)
                return
            names = sorted(p.relative_to(folder).as_posix() for p in _files(folder))
            if rest[:1] == ["tree"]:
                entries = [
                    {
                        "type": "file",
                        "path": name,
                        "size": (folder / name).stat().st_size,
                        "oid": _oid(folder / name),
                    }
                    for name in names
                ]
                self._respond(200, json.dumps(entries).encode())
                return
            info = {
                "id": repository,
                "modelId": repository,
                "sha": COMMIT,
                "private": False,
                "tags": [],
                "siblings": [{"rfilename": name} for name in names],
            }
            self._respond(200, json.dumps(info).encode())

        def _file(self, repository, name):
            path = repositories[repository] / name
            if self.command == "GET":
                downloads.append(name)
            headers = {"ETag": f'"{_oid(path)}"', "X-Repo-Commit": COMMIT}
            self._respond(200, path.read_bytes(), headers)

        def _refuse(self, status):
            code = {401: "RepoNotFound", 404: "RepoNotFound", 403: "GatedRepo"}.get(status)
            self._respond(status, b"{}", {"X-Error-Code": code} if code else {})

        def _respond(self, status, content=b"", headers=None):
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", downloads
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def _oid(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def run_offline(command, cache):
    """Runs a command that can't reach the hub; returns its `CompletedProcess`."""
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
