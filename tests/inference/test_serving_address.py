import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.inference.serving_address import ServerAddress, parse_address


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("http://host:8501/v1/models/a", ServerAddress("http", "host", 8501, model="a")),
        ("http://host:8501/v1/models/a/", ServerAddress("http", "host", 8501, model="a")),
        ("http://host:8501/v1/models/a:predict", ServerAddress("http", "host", 8501, model="a")),
        ("HTTP://Host", ServerAddress("http", "host", None, model="faramtn")),
        ("https://host/", ServerAddress("https", "host", None)),
        (
            "http://host/v1/models/a/versions/3",
            ServerAddress("http", "host", None, model="a", version=3),
        ),
        (
            "http://host/v1/models/a/labels/x:predict",
            ServerAddress("http", "host", None, model="a", label="x"),
        ),
        (
            "https://proxy/faces/tf/v1/models/a",
            ServerAddress("https", "proxy", None, "/faces/tf", "a"),
        ),
        (
            "http://u%40x:p%3Aw@host:1/v1/models/a",
            ServerAddress("http", "host", 1, model="a", credentials=("u@x", "p:w")),
        ),
        ("http://token@host", ServerAddress("http", "host", None, credentials=("token", ""))),
        ("grpc://host", ServerAddress("grpc", "host", None)),
        ("grpcs://host:443/a", ServerAddress("grpcs", "host", 443, model="a")),
        ("grpc://host/a/versions/3", ServerAddress("grpc", "host", None, model="a", version=3)),
        ("grpc://host/a/labels/x", ServerAddress("grpc", "host", None, model="a", label="x")),
        ("http://[::1]:8501", ServerAddress("http", "[::1]", 8501)),
        ("http://bücher.example", ServerAddress("http", "xn--bcher-kva.example", None)),
        ("http://tensorflow_serving:8501", ServerAddress("http", "tensorflow_serving", 8501)),
    ],
)
def test_addresses(server, expected):
    assert parse_address(server) == expected


@pytest.mark.parametrize(
    "address",
    [
        "http://host:8501/v1/models/a",
        "https://[::1]/v1/models/a/versions/3",
        "http://host/prefix/v1/models/a/labels/x",
        "grpc://host/a",
        "grpcs://host:443/a/versions/0",
    ],
)
def test_an_address_is_written_as_it_was_read(address):
    assert str(parse_address(address)) == address


def test_the_default_port_of_grpc():
    assert parse_address("grpc://host").grpc_target == "host:8500"
    assert parse_address("grpcs://[::1]:443").grpc_target == "[::1]:443"


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("", "must start with"),
        ("localhost:8501", "must start with"),
        ("ftp://host/v1/models/a", "must start with"),
        ("//host", "must start with"),
        ("http://", "the host is missing"),
        ("http:///v1/models/a", "the host is missing"),
        ("http://:8501/v1/models/a", "the host is missing"),
        ("http://host:0", "host or port is invalid"),
        ("http://host:65536", "host or port is invalid"),
        ("http://host:http", "host or port is invalid"),
        ("http://host:-1", "host or port is invalid"),
        ("http://a..b", "host or port is invalid"),
        ("http://a<b>", "host or port is invalid"),
        ("http://[::1", "host or port is invalid"),
        ("http://[::g]", "host or port is invalid"),
        (" http://host", "blanks"),
        ("http://host/v1/models/a b", "blanks"),
        ("http://host\n", "blanks or control characters"),
        ("http://host/v1/models/a?key=1", "neither [?] nor #"),
        ("http://host/v1/models/a#x", "neither [?] nor #"),
        ("http://host/a", "path does not name a model"),
        ("http://host/v1/models/", "path does not name a model"),
        ("http://host/v1/models/a/metadata", "path does not name a model"),
        ("http://host/v1/models/a:classify", "path does not name a model"),
        ("http://host/v1/models/a/versions/x", "path does not name a model"),
        ("http://host/v1/models/a/versions/99999999999999999999", "path does not name a model"),
        ("http://host/v1/models/a/versions/1/labels/x", "path does not name a model"),
        ("grpc://host/v1/models/a", "path does not name a model"),
        ("grpc://user:secret@host/a", "gRPC does not support user names"),
    ],
)
def test_other_addresses_are_refused_with_a_reason(server, reason):
    with pytest.raises(InputError, match=rf"not a server address: .*{reason}.* Use http://HOST"):
        parse_address(server)


@pytest.mark.parametrize(
    "server",
    [
        "http://user:secret@host:99999",
        "http://user:secret@host/a",
        "http://user:sec/secret@host",
        "http://user:sec?secret#secret@host:0",
        "http://user:sec@secret@host:0",
        "user:secret@host",
        "grpc://user:secret@host",
        "ftp://user:secret@host",
        "http://user:secret@host:1 ",
        "http://host?password=secret",
        "http://host/v1/models/a#secret",
    ],
)
def test_no_message_contains_a_password(server):
    with pytest.raises(InputError) as raised:
        parse_address(server)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_neither_text_nor_representation_of_an_address_contain_the_password():
    address = parse_address("http://user:secret@host/v1/models/a")
    assert "secret" not in str(address) + repr(address)
