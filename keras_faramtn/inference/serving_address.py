"""Addresses of models on TensorFlow Serving servers."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from keras_faramtn.errors import InputError

_DEFAULT_MODEL = "faramtn"
_DEFAULT_GRPC_PORT = 8500
_REST_SCHEMES = {"http", "https"}
_GRPC_SCHEMES = {"grpc", "grpcs"}

# As in TensorFlow Serving's REST API; a proxy in front of the server may add a prefix.
_MODEL = r"/(?P<model>[^/:]+)(?:/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[^/:]+))?"
_REST_PATH = re.compile(rf"(?P<prefix>(?:/[^/]+)*)/v1/models{_MODEL}(?::predict)?")
_GRPC_PATH = re.compile(rf"(?P<prefix>){_MODEL}")


@dataclass(frozen=True)
class ServerAddress:
    """The address of a model on a server. As text, it does not contain the credentials.

    Attributes:
        scheme: `http`, `https`, `grpc` or `grpcs`.
        host: a name or a numeric address; IPv6 in square brackets.
        port: None for the default of the scheme.
        prefix: what precedes `/v1/models` in the path.
        model: the model's name on the server.
        version: a version of the model; None for the latest, or the one with `label`.
        label: a label that the server assigns to a version, or None.
        credentials: user name and password, or None.

    Example:
        >>> address = parse_address("http://user:secret@localhost:8501/v1/models/faces/versions/3")
        >>> str(address)
        'http://localhost:8501/v1/models/faces/versions/3'
    """

    scheme: str
    host: str
    port: int | None
    prefix: str = ""
    model: str = _DEFAULT_MODEL
    version: int | None = None
    label: str | None = None
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def rest(self) -> bool:
        """Whether it is the address of a REST API, not of gRPC."""
        return self.scheme in _REST_SCHEMES

    @property
    def grpc_target(self) -> str:
        """Host and port, as gRPC expects them."""
        return f"{self.host}:{self.port or _DEFAULT_GRPC_PORT}"

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        models = f"{self.prefix}/v1/models" if self.rest else ""
        version = "" if self.version is None else f"/versions/{self.version}"
        label = "" if self.label is None else f"/labels/{self.label}"
        return f"{self.scheme}://{self.host}{port}{models}/{self.model}{version}{label}"


def is_url(source: object) -> bool:
    """Whether a model is specified by a URL, not by a path.

    Example:
        >>> is_url("grpc://localhost:8500/faramtn"), is_url("models/faramtn.tflite")
        (True, False)
    """
    return isinstance(source, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None


def parse_address(server: str) -> ServerAddress:
    """Reads the address of a model on a TensorFlow Serving server.

    Args:
        server: `http://HOST:PORT/v1/models/NAME` or `grpc://HOST:PORT/NAME`, with `https` and
            `grpcs` for TLS. `/versions/NUMBER` or `/labels/LABEL` may follow the name; without a
            path, the name is `faramtn`. `USER:PASSWORD@` may precede the host, except with gRPC,
            whose default port is 8500.

    Raises:
        InputError: anything else. The message does not contain passwords.

    Example:
        >>> parse_address("grpc://[::1]").grpc_target
        '[::1]:8500'
    """
    if not server.isprintable() or " " in server:
        raise _invalid(server, "it contains blanks or control characters")
    try:
        parts = urlsplit(server)
        host, port = parts.hostname or "", parts.port
        host = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    except ValueError:  # its message may contain the password
        raise _invalid(server, "its host or port is invalid") from None
    if parts.scheme not in {*_REST_SCHEMES, *_GRPC_SCHEMES}:
        raise _invalid(server, "it must start with http://, https://, grpc:// or grpcs://")
    if not host:
        raise _invalid(server, "the host is missing")
    if port == 0 or not re.fullmatch(r"[\w.-]+|\[.+\]", host):
        raise _invalid(server, "its host or port is invalid")
    if parts.query or parts.fragment:
        raise _invalid(server, "TensorFlow Serving's addresses contain neither ? nor #")
    rest = parts.scheme in _REST_SCHEMES
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
        if not rest:
            raise _invalid(server, "gRPC does not support user names and passwords")
    default = f"/v1/models/{_DEFAULT_MODEL}" if rest else f"/{_DEFAULT_MODEL}"
    path = (_REST_PATH if rest else _GRPC_PATH).fullmatch(parts.path.rstrip("/") or default)
    if path is None:
        raise _invalid(server, "its path does not name a model")
    version = None if path["version"] is None else int(path["version"])
    return ServerAddress(
        *(parts.scheme, host, port, path["prefix"], path["model"], version, path["label"]),
        credentials=credentials,
    )


def _invalid(server: str, reason: str) -> InputError:
    # A password may contain any character, so everything before the last @ is hidden.
    start, at, shown = server.rpartition("@")
    scheme = re.match(r"[a-z]+://", start)
    shown = f"{scheme[0] if scheme else ''}...@{shown}" if at else shown
    shown = re.split(r"[?#]", shown)[0]
    shown = "".join(character if character.isprintable() else "?" for character in shown)
    return InputError(
        f"{shown}: this is not a server address: {reason}. Use http://HOST:8501/v1/models/NAME "
        "or grpc://HOST:8500/NAME."
    )
