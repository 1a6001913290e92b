"""Model files that others wrote: they are predicted as their metadata state, or refused."""

import io
import subprocess
import sys
import zipfile

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from keras_faramtn.attributes import single_group
from keras_faramtn.errors import InputError
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.inference.loading import load_predictor, read_record
from keras_faramtn.model_record import ModelRecord

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE = (4, 6)
LABELS = ("red", "green", "blue")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype="uint8")


def means(images, mean=0.0, std=1.0):
    """The sigmoid of the mean of each channel, after scaling the pixels."""
    values = (images.astype("float64") - mean) / std
    return 1 / (1 + np.exp(-values.mean(axis=(1, 2))))


class Encoder(flatbuffers.Builder):
    """Writes tables by the field numbers of mediapipe/tasks/metadata/metadata_schema.fbs."""

    def table(self, size, offsets=(), numbers=()):
        self.StartObject(size)
        for field, offset in offsets:
            self.PrependUOffsetTRelativeSlot(field, offset, 0)
        for field, number in numbers:
            self.PrependInt8Slot(field, number, 0)
        return self.EndObject()

    def tables(self, *offsets):
        self.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.PrependUOffsetTRelative(offset)
        return self.EndVector()


def metadata(mean, std, labels_file):
    encoder = Encoder(256)
    mean, std = (encoder.CreateNumpyVector(np.float32(each)) for each in (mean, std))
    normalization = encoder.table(2, [(0, mean), (1, std)])
    # ProcessUnitOptions.NormalizationOptions is 1.
    process = encoder.tables(encoder.table(2, [(1, normalization)], [(0, 1)]))
    inputs = encoder.tables(encoder.table(7, [(4, process)]))
    name = encoder.CreateString(labels_file)
    # AssociatedFileType.TENSOR_AXIS_LABELS is 2.
    files = encoder.tables(encoder.table(3, [(0, name)], [(2, 2)]))
    outputs = encoder.tables(encoder.table(7, [(6, files)]))
    subgraphs = encoder.tables(encoder.table(4, [(2, inputs), (3, outputs)]))
    encoder.Finish(encoder.table(8, [(3, subgraphs)]), file_identifier=b"M001")
    return bytes(encoder.Output())


def add_metadata(content, *described):
    model = schema.ModelT.InitFromPackedBuf(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata(*described), "uint8")
    model.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def append_labels(content, name="classes.txt"):
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, "\n".join(LABELS))
    return file.getvalue()


def pooling_network(activation="sigmoid", size=SIZE):
    inputs = keras.Input((*size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, keras.layers.Activation(activation)(pooled))


@pytest.fixture(scope="module")
def float_file():
    return tf.lite.TFLiteConverter.from_keras_model(pooling_network()).convert()


@pytest.fixture(scope="module")
def integer_file():
    """A network for values in -1..1, whose input and output are uint8."""
    converter = tf.lite.TFLiteConverter.from_keras_model(pooling_network())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    scaled = IMAGES.astype("float32") / 127.5 - 1
    converter.representative_dataset = lambda: ([image[None]] for image in scaled)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (0.0, 255.0)])
def test_a_tflite_file_scales_pixels_as_its_metadata_state(float_file, tmp_path, mean, std):
    path = tmp_path / "other.tflite"
    described = add_metadata(float_file, [mean], [std], "classes.txt")
    path.write_bytes(append_labels(described))
    predictor = load_predictor(path)
    assert predictor.attributes == LABELS
    assert predictor.record.framing is None
    np.testing.assert_allclose(predictor.predict(IMAGES), means(IMAGES, mean, std), atol=1e-5)


def test_each_channel_may_have_its_mean_and_deviation(float_file, tmp_path):
    mean, std = [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]
    path = tmp_path / "other.tflite"
    path.write_bytes(append_labels(add_metadata(float_file, mean, std, "classes.txt")))
    predicted = load_predictor(path).predict(IMAGES)
    np.testing.assert_allclose(predicted, means(IMAGES, mean, std), atol=1e-5)


def test_a_tflite_file_of_integers_is_scaled_and_quantized(integer_file, tmp_path):
    path = tmp_path / "other.tflite"
    described = add_metadata(integer_file, [127.5], [127.5], "classes.txt")
    path.write_bytes(append_labels(described))
    predicted = load_predictor(path).predict(IMAGES)
    expected = means(IMAGES, 127.5, 127.5)
    assert expected.std() > 0.02
    np.testing.assert_allclose(predicted, expected, atol=0.01)


def test_a_tflite_file_that_does_not_state_its_scale_is_refused(float_file, integer_file, tmp_path):
    path = tmp_path / "other.tflite"
    for content in (float_file, integer_file):
        path.write_bytes(append_labels(content, "labels.txt"))
        with pytest.raises(InputError, match=r"other\.tflite: it doesn't state how pixels are"):
            load_predictor(path)
    # Values in 0..255 for an input that stands for -1..1.
    path.write_bytes(append_labels(add_metadata(integer_file, [0.0], [1.0], "classes.txt")))
    with pytest.raises(InputError, match=r"mean \[0\.0\] .*which can't be those of its input"):
        load_predictor(path)
    for mean, std in [([0.0], [0.0]), ([float("nan")], [1.0]), ([1.0, 2.0], [1.0])]:
        path.write_bytes(append_labels(add_metadata(float_file, mean, std, "classes.txt")))
        with pytest.raises(InputError, match="which can't be those of its input"):
            load_predictor(path)


def test_a_tflite_file_of_integers_without_a_scale_is_refused(integer_file, tmp_path):
    model = schema.ModelT.InitFromPackedBuf(integer_file)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].quantization = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path = tmp_path / "other.tflite"
    described = add_metadata(bytes(builder.Output()), [127.5], [127.5], "classes.txt")
    path.write_bytes(append_labels(described))
    with pytest.raises(InputError, match=r"other\.tflite: (its output is integers|not a TFLite)"):
        load_predictor(path)


def test_logits_are_refused(tmp_path):
    content = tf.lite.TFLiteConverter.from_keras_model(pooling_network("linear")).convert()
    path = tmp_path / "logits.tflite"
    path.write_bytes(append_labels(add_metadata(content, [0.0], [1.0], "classes.txt")))
    tf.io.write_file(str(tmp_path / "face.png"), tf.io.encode_png(IMAGES[0]))
    with pytest.raises(InputError, match=r"face\.png: the model predicts .* for red, but a prob"):
        list(predict_files(path, [tmp_path / "face.png"]))


def test_a_tflite_file_for_images_of_any_size_is_refused(tmp_path):
    content = tf.lite.TFLiteConverter.from_keras_model(pooling_network(size=(None, 6))).convert()
    path = tmp_path / "any.tflite"
    path.write_bytes(append_labels(add_metadata(content, [0.0], [1.0], "classes.txt")))
    with pytest.raises(InputError, match=r"any\.tflite: the model must have one image as input"):
        load_predictor(path)


def write_onnx(path, shape=("n", *SIZE, 3), kind="FLOAT", outputs=1, **properties):
    """A network that averages each channel, and applies the sigmoid."""
    helper, types = onnx.helper, onnx.TensorProto
    axes = [1, 2] if shape[3] == 3 else [2, 3]
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=types.FLOAT),
        helper.make_node("ReduceMean", ["cast", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sigmoid", ["mean"], ["scores"]),
    ]
    names = ["scores", "mean"][:outputs]
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("image", getattr(types, kind), shape)],
        [helper.make_tensor_value_info(name, types.FLOAT, [shape[0], 3]) for name in names],
        [helper.make_tensor("axes", types.INT64, [2], axes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {f"Image.{key}": value for key, value in properties.items()})
    onnx.save(model, path)
    (path.parent / "labels.txt").write_text("\n".join(LABELS))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (("n", *SIZE, 3), "FLOAT"),
        (("n", 3, *SIZE), "FLOAT"),
        ((2, 3, *SIZE), "FLOAT"),
        (("n", *SIZE, 3), "FLOAT16"),
    ],
)
@pytest.mark.parametrize(
    ("format_", "range_", "mean", "std"),
    [
        ("Rgb8", "NominalRange_0_255", 0, 1),
        ("Bgr8", "Normalized_0_1", 0, 255),
        ("Rgb8", "Normalized_1_1", 127.5, 127.5),
    ],
)
def test_an_onnx_file_gets_pixels_as_its_metadata_state(
    tmp_path, shape, kind, format_, range_, mean, std
):
    write_onnx(
        tmp_path / "other.onnx", shape, kind, BitmapPixelFormat=format_, NominalPixelRange=range_
    )
    predictor = load_predictor(tmp_path / "other.onnx")
    assert (predictor.image_size, predictor.attributes) == (SIZE, LABELS)
    images = IMAGES[: predictor.batch_size - 1]
    assert len(images) in {1, 5}
    pixels = images[..., ::-1] if format_ == "Bgr8" else images
    np.testing.assert_allclose(predictor.predict(images), means(pixels, mean, std), atol=1e-3)


def test_an_onnx_file_that_fails_is_reported(tmp_path):
    write_onnx(
        tmp_path / "other.onnx", BitmapPixelFormat="Rgb8", NominalPixelRange="NominalRange_0_255"
    )
    model = onnx.load(tmp_path / "other.onnx")
    [axes] = model.graph.initializer
    axes.CopyFrom(onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [1, 7]))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other\.onnx: (onnxruntime can't|not an ONNX file)"):
        load_predictor(tmp_path / "other.onnx")


@pytest.mark.parametrize("kind", ["sequence", "STRING"])
def test_an_onnx_file_whose_output_is_no_tensor_of_floats_is_refused(tmp_path, kind):
    helper, types = onnx.helper, onnx.TensorProto
    image = helper.make_tensor_value_info("image", types.FLOAT, ["n", *SIZE, 3])
    if kind == "sequence":
        nodes = [helper.make_node("SequenceConstruct", ["image"], ["scores"])]
        output = helper.make_tensor_sequence_value_info("scores", types.FLOAT, None)
    else:
        nodes = [helper.make_node("Cast", ["image"], ["scores"], to=types.STRING)]
        output = helper.make_tensor_value_info("scores", types.STRING, ["n", *SIZE, 3])
    graph = helper.make_graph(nodes, "other", [image], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match="it must be a tensor of floats"):
        load_predictor(tmp_path / "other.onnx")


def test_an_onnx_file_of_integers_takes_pixels(tmp_path):
    write_onnx(tmp_path / "other.onnx", kind="UINT8", BitmapPixelFormat="Rgb8")
    predicted = load_predictor(tmp_path / "other.onnx").predict(IMAGES)
    np.testing.assert_allclose(predicted, means(IMAGES), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "it doesn't state how pixels become values"),
        ({"NominalPixelRange": "Normalized_0_1"}, "Image.BitmapPixelFormat must be Rgb8 or Bgr8"),
        ({"BitmapPixelFormat": "Rgb8"}, "it doesn't state how pixels become values"),
        ({"shape": ("n", 3, "h", "w")}, "with a fixed height and width"),
        ({"shape": ("n", 4, 6, 1)}, "with a fixed height and width"),
        ({"kind": "DOUBLE"}, "it must be float or uint8"),
        (
            {
                "kind": "UINT8",
                "BitmapPixelFormat": "Rgb8",
                "NominalPixelRange": "Normalized_0_1",
            },
            "Image.NominalPixelRange NominalRange_0_255",
        ),
        ({"outputs": 2}, "it has 1 and 2"),
    ],
)
def test_other_onnx_files_are_refused(tmp_path, options, message):
    write_onnx(tmp_path / "other.onnx", **options)
    with pytest.raises(InputError, match=r"other\.onnx: ") as error:
        load_predictor(tmp_path / "other.onnx")
    assert message in str(error.value)


def write_saved_model(folder, dtype, size=SIZE, batch=None):
    images = tf.TensorSpec((batch, *size, 3), dtype, "images")

    @tf.function(input_signature=[images])
    def serve(images):
        return {"scores": tf.sigmoid(tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]))}

    tf.saved_model.save(tf.Module(), folder, {"serving_default": serve})
    (folder / "labels.txt").write_text("\n".join(LABELS))


@pytest.mark.parametrize(("batch", "batch_size"), [(None, 64), (6, 6)])
def test_a_saved_model_takes_pixels(tmp_path, batch, batch_size):
    write_saved_model(tmp_path / "other[1]", tf.uint8, batch=batch)  # TensorFlow sees a pattern
    predictor = load_predictor(tmp_path / "other[1]")
    assert (predictor.image_size, predictor.batch_size) == (SIZE, batch_size)
    assert predictor.attributes == LABELS
    np.testing.assert_allclose(predictor.predict(IMAGES), means(IMAGES), atol=1e-5)


def test_other_saved_models_are_refused(tmp_path):
    write_saved_model(tmp_path / "float", tf.float32)
    write_saved_model(tmp_path / "any", tf.uint8, size=(None, 6))
    for name in ("float", "any"):
        with pytest.raises(InputError, match=rf"{name}: its signature serving_default must take"):
            load_predictor(tmp_path / name)
    (tmp_path / "float" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(InputError, match="float: not a SavedModel that TensorFlow can load"):
        load_predictor(tmp_path / "float")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: a model for prediction is"):
        load_predictor(tmp_path / "empty")


def test_other_labels_than_outputs_are_refused(tmp_path):
    write_onnx(tmp_path / "other.onnx", kind="UINT8", BitmapPixelFormat="Rgb8")
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    with pytest.raises(InputError, match="its labels name 2 attributes, but it predicts 3"):
        load_predictor(tmp_path / "other.onnx")


def test_an_onnx_file_runs_without_tensorflow_and_keras(tmp_path):
    write_onnx(tmp_path / "other.onnx", kind="UINT8", BitmapPixelFormat="Rgb8")
    tf.io.write_file(str(tmp_path / "face.png"), tf.io.encode_png(IMAGES[0]))
    script = (
        "import sys; from keras_faramtn.inference.image_files import predict_files\n"
        "[(_, probabilities)] = predict_files('other.onnx', ['face.png'])\n"
        "assert list(probabilities) == ['red', 'green', 'blue']\n"
        "heavy = {'keras', 'tensorflow', 'onnx', 'ai_edge_litert', 'requests'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_of_an_export_the_first_known_file_is_loaded(tmp_path):
    (tmp_path / "model.json").write_text("{}")  # what the files record counts
    with pytest.raises(InputError, match="there is no exported model in it"):
        load_predictor(tmp_path)
    write_saved_model(tmp_path / "saved_model" / "1", tf.uint8, batch=5)
    assert load_predictor(tmp_path).batch_size == 5
    assert load_predictor(tmp_path / "saved_model").batch_size == 5
    (tmp_path / "onnx").mkdir()
    write_onnx(tmp_path / "onnx" / "x.onnx", (3, *SIZE, 3), "UINT8", BitmapPixelFormat="Rgb8")
    assert load_predictor(tmp_path).batch_size == 3


@pytest.mark.parametrize("suffix", [".keras", ".tflite", ".onnx"])
def test_a_missing_file_is_reported(tmp_path, suffix):
    for read in (load_predictor, read_record):
        with pytest.raises(InputError, match=rf"gone\{suffix}: no such model file; check its path"):
            read(tmp_path / f"gone{suffix}")


def test_records_of_other_files_have_one_group_and_no_framing(float_file, tmp_path):
    write_onnx(tmp_path / "other.onnx")
    write_saved_model(tmp_path / "folder", tf.uint8)
    (tmp_path / "other.tflite").write_bytes(append_labels(float_file, "labels.txt"))
    for name in ("other.onnx", "folder", "other.tflite"):
        record = read_record(tmp_path / name)
        assert record == ModelRecord(single_group(LABELS))


def test_a_damaged_record_is_reported(float_file, tmp_path):
    (tmp_path / "other.tflite").write_bytes(append_labels(float_file, "model.json"))
    with pytest.raises(InputError, match=r"other\.tflite: the record of the model is damaged"):
        read_record(tmp_path / "other.tflite")
