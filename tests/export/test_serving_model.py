import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
import yaml
from mutated import GOOD, animation, encode, mutations, sixteen_bits
from served import SIZE, exported_once, faces
from tensorflow_serving.apis import prediction_log_pb2

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.data.images import load_image
from keras_faramtn.errors import InputError
from keras_faramtn.export import saved_model
from keras_faramtn.export.image_decoding import MAX_PIXELS, decode_images
from keras_faramtn.export.serving_files import server_release, write_warmup_requests
from keras_faramtn.inference.serving_client import _BATCH_IMAGES

DAMAGED = b"the image is damaged and can't be decoded"
NOT_AN_IMAGE = b"not a JPEG or PNG file"
TOO_LARGE = b"the image has more than 67,108,864 pixels"


@pytest.fixture(scope="module")
def exported():
    return exported_once()


@pytest.fixture(scope="module")
def signatures(exported):
    loaded = tf.saved_model.load(exported[0] / "saved_model" / "1")
    return loaded.signatures


def _model(exported, images):
    return exported[1].predict(np.asarray(images), verbose=0)


def _serve_bytes(signatures, files):
    result = signatures["serve_bytes"](image_bytes=tf.constant(files, tf.string))
    return result["probabilities"].numpy(), result["error"].numpy()


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("signature", ["serving_default", "serve_uint8"])
def test_pixels_give_the_models_probabilities_and_names(exported, signatures, signature, count):
    kind = {"serving_default": tf.float32, "serve_uint8": tf.uint8}[signature]
    result = signatures[signature](images=tf.constant(faces(count), kind))
    assert set(result) == {"probabilities", "attributes"}
    expected = _model(exported, faces(count))
    if count > 1:  # the numbers depend on the image
        assert expected.std(axis=0).mean() > 0.05
    np.testing.assert_allclose(result["probabilities"], expected, atol=1e-4)
    # The server joins and splits batches along the first dimension of every output.
    assert result["attributes"].shape == (count, 40)
    assert all(
        tuple(map(bytes.decode, row)) == CELEBA_ATTRIBUTES for row in result["attributes"].numpy()
    )


@pytest.mark.parametrize(
    ("signature", "images"),
    [
        ("serving_default", {"images": np.zeros((0, *SIZE, 3), "float32")}),
        ("serve_uint8", {"images": np.zeros((0, *SIZE, 3), "uint8")}),
        ("serve_bytes", {"image_bytes": np.zeros((0,), object)}),
    ],
)
def test_an_empty_batch_gives_empty_outputs(signatures, signature, images):
    inputs = {
        name: tf.constant(value, tf.string if value.dtype == object else value.dtype)
        for name, value in images.items()
    }
    outputs = signatures[signature](**inputs)
    expected = {"probabilities": (0, 40), "attributes": (0, 40)}
    expected |= {"error": (0,)} if signature == "serve_bytes" else {}
    assert {name: tuple(output.shape) for name, output in outputs.items()} == expected


def test_files_give_the_same_probabilities_as_their_pixels(exported, signatures):
    files = [
        encode(kind, size=size, seed=seed)
        for seed, (kind, size) in enumerate(
            [("JPEG", (178, 218)), ("PNG", (178, 218)), ("JPEG", (31, 400)), ("PNG", (700, 20))]
        )
    ]
    images = np.stack([decode_and_resize(file, SIZE) for file in files])
    probabilities, error = _serve_bytes(signatures, files)
    assert error.tolist() == [b""] * 4
    np.testing.assert_allclose(probabilities, _model(exported, images), atol=1e-4)
    same = signatures["serve_uint8"](images=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(probabilities, same, atol=1e-4)


def _png_of_16_bits(channels):
    values = np.random.default_rng(channels).integers(0, 2**16, (71, 53, channels), "uint16")
    return tf.io.encode_png(values).numpy()


UNUSUAL = {
    **GOOD,
    "rgb png of 16 bits": _png_of_16_bits(3),
    "png of 16 bits with alpha": _png_of_16_bits(4),
    "grey png of 16 bits with alpha": _png_of_16_bits(2),
    "palette png with a transparent colour": encode("PNG", "P", transparency=0),
    "palette png of four bits": encode("PNG", "P", bits=4),
    "grey png with a transparent value": encode("PNG", "L", transparency=200),
    "jpeg without colour transform": encode("JPEG", keep_rgb=True),
    "jpeg of low quality": encode("JPEG", quality=5),
}


@pytest.mark.parametrize("kind", list(UNUSUAL))
def test_unusual_images_are_converted_as_by_pillow(signatures, tmp_path, kind):
    (tmp_path / "image").write_bytes(UNUSUAL[kind])
    expected = load_image(tmp_path / "image", SIZE).astype(int)
    [pixels], [error] = decode_images(tf.constant([UNUSUAL[kind]]), SIZE)
    assert error == b""
    # Both round twice, at different steps.
    assert np.abs(pixels.numpy() - expected).max() <= 2
    served = signatures["serve_uint8"](images=pixels[None])["probabilities"]
    np.testing.assert_allclose(_serve_bytes(signatures, [UNUSUAL[kind]])[0], served, atol=1e-4)


def test_16_bits_are_reduced_to_the_high_8(exported, signatures):
    file, high = sixteen_bits(size=SIZE[::-1])
    grey = np.repeat(high[:, :, None], 3, axis=2)
    np.testing.assert_allclose(
        _serve_bytes(signatures, [file])[0], _model(exported, grey[None]), atol=1e-4
    )


def _png_with_header_size(width, height):
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    file = GOOD["png"]
    return file[:12] + header + zlib.crc32(header).to_bytes(4, "big") + file[33:]


def _jpeg_with_header_size(width, height):
    start = GOOD["jpeg"].index(b"\xff\xc0") + 5
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return GOOD["jpeg"][:start] + size + GOOD["jpeg"][start + 4 :]


BAD = {
    "empty": (b"", NOT_AN_IMAGE),
    "one byte": (b"\xff", NOT_AN_IMAGE),
    "text": (b"not an image", NOT_AN_IMAGE),
    "gif": (encode("GIF"), NOT_AN_IMAGE),
    "animated gif": (animation(), NOT_AN_IMAGE),
    "bmp": (encode("BMP"), NOT_AN_IMAGE),
    "webp": (encode("WEBP"), NOT_AN_IMAGE),
    "start of a jpeg": (GOOD["jpeg"][:3], DAMAGED),
    "half a jpeg": (GOOD["jpeg"][: len(GOOD["jpeg"]) // 2], DAMAGED),
    "start of a png": (GOOD["png"][:8], DAMAGED),
    "half a png": (GOOD["png"][: len(GOOD["png"]) // 2], DAMAGED),
    "png bomb": (_png_with_header_size(2**31 - 1, 2**31 - 1), TOO_LARGE),
    "png just too large": (_png_with_header_size(8193, 8192), TOO_LARGE),
    "png without width": (_png_with_header_size(0, 8192), DAMAGED),
    "jpeg bomb": (_jpeg_with_header_size(65_000, 65_000), TOO_LARGE),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_image_gets_an_error_and_does_not_affect_the_others(signatures, kind):
    file, message = BAD[kind]
    alone, _ = _serve_bytes(signatures, [GOOD["jpeg"], GOOD["png"]])
    probabilities, error = _serve_bytes(signatures, [GOOD["jpeg"], file, GOOD["png"]])
    assert error.tolist() == [b"", message, b""]
    assert (probabilities[1] == -1).all()
    np.testing.assert_allclose(probabilities[[0, 2]], alone, atol=1e-4)


def test_a_batch_may_consist_of_bad_images(signatures):
    assert _serve_bytes(signatures, [b"", b"x"])[1].tolist() == [NOT_AN_IMAGE] * 2


def test_the_largest_image_is_decoded(signatures):
    file = encode("PNG", "L", size=(8192, 8192))
    assert MAX_PIXELS == 8192 * 8192
    assert _serve_bytes(signatures, [file])[1].tolist() == [b""]


# Runs in a separate process, which a crash in a decoder would end, and where neither this package
# nor Keras can be imported.
_SERVER = """
import sys
sys.modules["keras_faramtn"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
folder, files, results = sys.argv[1:]
serve = tf.saved_model.load(folder).signatures["serve_bytes"]
responses = [
    serve(image_bytes=tf.constant(batch.tolist()))
    for batch in np.split(np.load(files, allow_pickle=True), 20)
]
np.savez(results, **{name: np.concatenate([response[name] for response in responses])
                     for name in ("probabilities", "error")})
"""


def test_mutated_images_never_crash_a_process_without_this_package(exported, signatures, tmp_path):
    count = 2000
    files = [*mutations(count - 1), GOOD["jpeg"]]
    np.save(tmp_path / "files.npy", np.array(files, dtype=object), allow_pickle=True)
    subprocess.run(
        [
            sys.executable,
            "-c",
            _SERVER,
            str(exported[0] / "saved_model" / "1"),
            str(tmp_path / "files.npy"),
            str(tmp_path / "results.npz"),
        ],
        check=True,
        capture_output=True,
    )
    results = np.load(tmp_path / "results.npz", allow_pickle=True)
    probabilities, error = results["probabilities"], results["error"]
    assert probabilities.shape == (count, 40)
    assert set(error) == {b"", NOT_AN_IMAGE, TOO_LARGE, DAMAGED}
    bad = error != b""
    assert 0.5 < bad.mean() < 0.95
    assert (probabilities[bad] == -1).all()
    assert ((probabilities[~bad] >= 0) & (probabilities[~bad] <= 1)).all()
    expected, _ = _serve_bytes(signatures, [GOOD["jpeg"]])
    np.testing.assert_allclose(probabilities[-1:], expected, atol=1e-4)


def test_warm_up_requests_can_be_served(exported, signatures):
    path = exported[0] / "saved_model" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    served = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        [(name, tensor)] = request.inputs.items()
        signature = request.model_spec.signature_name
        result = signatures[signature](**{name: tf.constant(tf.make_ndarray(tensor))})
        probabilities = result["probabilities"].numpy()
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        served.append((signature, len(probabilities)))
    assert served == [
        (signature, count)
        for signature in ("serving_default", "serve_uint8", "serve_bytes")
        for count in (1, 2)
    ]


def test_each_weight_is_written_once(exported):
    folder = exported[0] / "saved_model" / "1" / "variables"
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert 4 * exported[1].count_params() < size < 1.05 * 4 * exported[1].count_params()


def test_the_compose_file_starts_the_official_server_with_the_exported_files(exported):
    folder, _ = exported
    [service] = yaml.safe_load((folder / "compose.yaml").read_text())["services"].values()
    release = server_release(tf.__version__)
    assert service["image"] == f"tensorflow/serving:${{TF_SERVING_TAG:-{release}}}"
    # Nothing but this computer reaches a server without authentication.
    assert service["ports"] == [f"${{TF_SERVING_ADDRESS:-127.0.0.1}}:{p}:{p}" for p in (8500, 8501)]
    assert service["mem_limit"] == "${TF_SERVING_MEMORY:-4g}"
    mounted = {target: source for source, target, _ in (v.split(":") for v in service["volumes"])}
    # The start script of the Docker image looks for /models/${MODEL_NAME}.
    assert service["environment"] == {"MODEL_NAME": "faramtn"}
    assert (folder / mounted["/models/faramtn"] / "1" / "saved_model.pb").is_file()
    flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in service["command"])
    assert flags["enable_batching"] == ""
    parameters = (folder / mounted[flags["batching_parameters_file"]]).read_text()
    lines = [line for line in parameters.splitlines() if not line.startswith("#")]
    values = dict(line.removesuffix(" }").split(" { value: ") for line in lines)
    assert set(values) == {"max_batch_size", "batch_timeout_micros", "max_enqueued_batches"}
    assert int(values["max_batch_size"]) >= _BATCH_IMAGES


@pytest.mark.parametrize(
    ("tensorflow", "release"),
    [
        ("2.19.0", "2.19.0"),
        ("2.19.5", "2.19.1"),
        ("2.20.0", "2.20.0"),
        ("2.20.0rc1", "2.20.0"),
        ("2.21.0-dev20260101", "2.20.0"),
        ("2.18.1", "2.19.0"),
    ],
)
def test_the_server_is_not_newer_than_the_exporters_tensorflow(tensorflow, release):
    assert server_release(tensorflow) == release


def test_a_missing_serving_api_is_reported_with_the_command_to_install_it(
    exported, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    with pytest.raises(InputError, match=r"pip install 'keras-faramtn\[serving\]'"):
        write_warmup_requests(tmp_path, SIZE)


def test_signatures_that_disagree_give_nan(exported, tmp_path, monkeypatch):
    def upside_down(encoded, image_size):
        images, error = decode_images(encoded, image_size)
        return images[:, ::-1], error

    monkeypatch.setattr(saved_model, "decode_images", upside_down)
    saved_model.write_serving_model(exported[1], tmp_path / "1")
    assert np.isnan(saved_model.run_saved_model(tmp_path / "1", faces(2))).any()
    good = saved_model.run_saved_model(exported[0] / "saved_model" / "1", faces(2))
    np.testing.assert_allclose(good, _model(exported, faces(2)), atol=1e-4)
