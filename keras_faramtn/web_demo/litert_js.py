"""Downloads LiteRT.js, which runs TFLite files in web pages, and adapts it for the demo page."""

import gzip
import logging
import tarfile
from pathlib import Path

import pooch

from keras_faramtn.data.cache import cache_folder
from keras_faramtn.errors import ServerError

_VERSION = "2.5.3"
_REGISTRY = "https://registry.npmjs.org"
_SHA256 = {
    "core": "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd",
    "wasm-utils": "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
}
# Of LiteRT.js's four builds, the one that runs in every browser with WebAssembly SIMD and from any
# web server. The threaded build needs special HTTP headers, and the relaxed SIMD build was not
# faster on these networks.
_BUILD = "litert_wasm_compat_internal"
# Imported from a web server; and without a request for a GPU if the page wants none.
_CHANGES = {
    '"@litertjs/wasm-utils"': '"./wasm_utils.js"',
    "await Environment.create()": "await Environment.create(options?.environment)",
}
_NOTICE = (
    '// Changed: the import of "@litertjs/wasm-utils" is a relative path, and loadLiteRt has the\n'
    '// option "environment".\n'
)

logger = logging.getLogger(__name__)


def write_litert_js(folder: Path) -> None:
    """Writes the files of LiteRT.js into a folder, taken from packages in the user's cache folder.

    The packages, 12 MB in all, are downloaded from the npm registry if they are not in the cache,
    and verified by their checksums. The changes to their files are listed in
    `site/litert/README.md`.

    Args:
        folder: an existing folder.

    Raises:
        ServerError: a package can't be downloaded, or has the wrong checksum.
    """
    core, wasm_utils = fetch_package("core"), fetch_package("wasm-utils")
    script = _without_source_map(_read(core, "dist/index.js"))
    for original, changed in _CHANGES.items():
        script = script.replace(original, changed)
    (folder / "core.js").write_bytes((_NOTICE + script).encode())
    script = _without_source_map(_read(wasm_utils, "dist/index.js"))
    (folder / "wasm_utils.js").write_bytes(script.encode())
    (folder / f"{_BUILD}.js").write_bytes(_read(core, f"wasm/{_BUILD}.js"))
    # Not named `.gz`, because some web servers would decompress the file themselves.
    compressed = gzip.compress(_read(core, f"wasm/{_BUILD}.wasm"), mtime=0)
    (folder / f"{_BUILD}.wasm.gzip").write_bytes(compressed)


def fetch_package(name: str) -> Path:
    """Downloads a package of LiteRT.js, unless it is already in the user's cache folder.

    Args:
        name: `core` or `wasm-utils`.

    Returns:
        The npm package, a .tgz file with the pinned checksum.

    Raises:
        ServerError: the package can't be downloaded, or has the wrong checksum.
    """
    url = f"{_REGISTRY}/@litertjs/{name}/-/{name}-{_VERSION}.tgz"
    path = cache_folder() / f"litertjs-{name}-{_VERSION}.tgz"
    remedy = (
        "It is needed only once. You can also download it on another computer and save it as "
        f"{path}"
    )
    if not path.exists():
        logger.info("Downloading %s", url)
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(url, f"sha256:{_SHA256[name]}", path.name, path.parent)
    except OSError as error:
        raise ServerError(f"{url}: can't be downloaded ({error}). {remedy}") from error
    except ValueError as error:
        raise ServerError(
            f"{url}: the downloaded file has a wrong checksum and was discarded. Try again from "
            f"another network. {remedy}"
        ) from error
    return path


def _read(package: Path, name: str) -> bytes:
    with tarfile.open(package) as archive:
        file = archive.extractfile(f"package/{name}")
        assert file is not None  # the checksum guarantees the content
        return file.read()


def _without_source_map(script: bytes) -> str:
    lines = script.decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("//# sourceMappingURL"))
