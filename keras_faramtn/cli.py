"""The command line, `faramtn`. Heavy packages are imported only by the commands that need them."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from keras_faramtn import __version__
from keras_faramtn.console import (
    console_logging,
    hidden_stderr,
    prepare_streams,
    print_line,
    report_errors,
)
from keras_faramtn.errors import InputError

if TYPE_CHECKING:
    from keras_faramtn.framing import Framing

# A default that is not a plain value is described by `show_default`. Square brackets in a help text
# would vanish: rich reads them as markup.
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Skip rows and images that can't be used."),
]
ModelFile = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A .keras file, the folder of a training run, or hf://OWNER/NAME on the Hugging Face "
        "hub.",
    ),
]
AnyModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A .keras, .tflite or .onnx file, the folder of a training run, a SavedModel or an "
        "export, "
        "hf://OWNER/NAME on the Hugging Face hub, or a TensorFlow Serving server: "
        "http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME; https or grpcs for TLS.",
    ),
]
DataPath = Annotated[
    Path, typer.Option("--data", help="A folder of CelebA or LFWA, or a .csv file of attributes.")
]
RecipeName = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe."),
]
RecipeData = Annotated[
    Path | None,
    typer.Option("--data", help="The data set.", show_default="the data set of the recipe"),
]
Detect = Annotated[
    bool,
    typer.Option("--detect", help="The images are photographs: find the faces, and crop them."),
]
FramingName = Annotated[
    str | None,
    typer.Option(
        help="With --detect: how to crop faces, celeba or box.",
        show_default="as the model's training images",
    ),
]
Thresholds = Annotated[
    Path | None,
    typer.Option(
        metavar="METRICS",
        help="The metrics.json of a training run, for the thresholds that it chose for balanced "
        "accuracy.",
        show_default="those that the model records, or 0.5",
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Compare error rates by this attribute or column of the data. Repeat for several.",
        show_default="none",
    ),
]


class _Commands(typer.core.TyperGroup):
    """The commands; their errors are reported without a traceback, unless --debug is given."""

    def invoke(self, ctx: Any) -> Any:
        with report_errors(debug=ctx.params["debug"]):
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Face attribute recognition with FAR-AMTN, an attention multi-task network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Create or check a data set.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def main() -> None:
    """Runs the command line."""
    prepare_streams()
    app(_normalised(sys.argv[1:]), prog_name="faramtn")


def _normalised(arguments: list[str]) -> list[str]:
    """Accepts `--debug` after the command too, and `~` where no shell has replaced it."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = ["--debug"] if "--debug" in options else []
    return [
        *debug,
        *(_expand_home(argument) for argument in options if argument != "--debug"),
        *arguments[len(options) :],
    ]


def _expand_home(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if option.startswith("--") and equals:
        return f"{option}={os.path.expanduser(value)}"  # noqa: PTH111
    return os.path.expanduser(argument)  # noqa: PTH111 - keeps a name that is not a user's


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"faramtn {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, for a bug report.")
    ] = False,
) -> None:
    context.with_resource(console_logging())


@app.command()
def demo(
    to: Annotated[Path, typer.Option(help="The folder to create.")] = Path("demo"),
    count: Annotated[int, typer.Option(min=100, help="Number of faces to draw.")] = 2000,
) -> None:
    """Draw faces, train a small network, evaluate, export and predict, all in a few minutes."""
    with _with_keras("tensorflow"):  # required for export
        from keras_faramtn.experiments.demo import demo as run_demo
    _load_detector()
    run_demo(to, count, show=_show_prediction)


@data_app.command()
def synthesize(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    count: Annotated[int, typer.Option(min=1, help="Number of faces to draw.")] = 2000,
    height: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 218,
    width: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 178,
    seed: Annotated[int, typer.Option(min=0, help="Each seed gives different faces.")] = 0,
) -> None:
    """Draw synthetic faces with CelebA's 40 attributes, in CelebA's layout."""
    from keras_faramtn.synthetic.dataset import synthesize as draw

    draw(folder, count, image_size=(height, width), seed=seed)
    typer.echo(f"{count:,} faces in {folder}/")


@data_app.command()
def check(
    data: Annotated[Path, typer.Argument(help="A folder of CelebA or LFWA, or a .csv file.")],
    skip_bad: SkipBad = False,
) -> None:
    """Read all labels of a data set, open all images, and report what it contains."""
    with _with_keras():
        from keras_faramtn.data.check import check_data, describe

    table = check_data(data, skip_bad=skip_bad)
    typer.echo(describe(table))


@data_app.command()
def crop(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder of CelebA or LFWA, a .csv file, or a folder of photographs without "
            "labels."
        ),
    ],
    to: Annotated[Path, typer.Option(help="The folder to create.")],
    framing: Annotated[
        str,
        typer.Option(
            help="celeba: rotated, so that eyes and mouth are where CelebA's aligned images have "
            "them; box: the detected box with a margin of half its side."
        ),
    ] = "celeba",
    height: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 218,
    width: Annotated[
        int | None,
        typer.Option(min=32, max=1024, help="In pixels.", show_default="as the framing requires"),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Detect the face in each photograph, and write the face crops with the same labels.

    Photographs without a face or with several faces are skipped, and listed in photographs.csv.
    """
    from keras_faramtn.faces.crop_dataset import crop_dataset
    from keras_faramtn.framing import framing_named

    _load_detector()
    chosen = framing_named(framing)
    size = (height, width or round(height * chosen.aspect))
    count = crop_dataset(source, to, chosen, size, skip_bad=skip_bad)
    typer.echo(f"{count:,} face crops in {to}/")


@app.command()
def train(
    recipe: RecipeName,
    data: RecipeData = None,
    to: Annotated[
        Path | None, typer.Option(help="The folder of the run.", show_default="runs/RECIPE")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Train the network of a recipe, and evaluate it on the validation split.

    After an interruption, the same command resumes from the last completed epoch.
    """
    with _with_keras():
        from keras_faramtn.experiments.run import train_recipe
    _load_detector()
    train_recipe(recipe, data, to or _run_folder(recipe), skip_bad=skip_bad)


@app.command()
def compare(
    recipe: RecipeName,
    data: RecipeData = None,
    to: Annotated[
        Path | None,
        typer.Option(help="The folder to create or to resume.", show_default="runs/RECIPE"),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Train variants of a network in the same way, and compare their scores and costs.

    After an interruption, the same command resumes where it stopped.
    """
    with _with_keras():
        from keras_faramtn.experiments.compare import run_comparison
    _load_detector()
    run_comparison(recipe, data, to or _run_folder(recipe), skip_bad=skip_bad)


@app.command()
def evaluate(
    model: AnyModel,
    data: DataPath,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    to: Annotated[
        Path | None,
        typer.Option(
            help="The folder to create, with metrics.json, contact_sheet.png and predictions.npz.",
            show_default="evaluation_SPLIT next to the model; for a server in the current folder",
        ),
    ] = None,
    by: By = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Score a model on a split: all usual scores by attribute, and means with intervals."""
    with _with_keras():
        from keras_faramtn.evaluation.evaluate import evaluate_file
    _load_detector()
    evaluate_file(model, data, split, to, thresholds=thresholds, by=by or (), skip_bad=skip_bad)


@app.command()
def report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model as for evaluate, or the folder of a comparison.",
        ),
    ],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The .html file to create.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="For a model: a folder of CelebA or LFWA, or a .csv file of attributes.",
            show_default="none",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    by: By = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Write one HTML page about a model: its scores, its mistakes, and what it looks at.

    Of the folder of a comparison, the page shows scores, differences and costs of the networks.
    """
    with _with_keras():
        from keras_faramtn.report.write_report import write_report
    _load_detector()
    write_report(
        source,
        to,
        data=data,
        split=split,
        by=by or (),
        thresholds=thresholds,
        skip_bad=skip_bad,
    )


@app.command()
def calibrate(
    model: ModelFile,
    data: DataPath,
    to: Annotated[Path, typer.Option(help="The folder to create.")],
    split: Annotated[
        str, typer.Option(help="The split to fit on: train, validation or test.")
    ] = "validation",
    maximise: Annotated[
        str | None,
        typer.Option(
            help="Also choose a threshold for each attribute that maximises balanced_accuracy, f1 "
            "or accuracy.",
            show_default="keep the thresholds",
        ),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Calibrate a model's probabilities, and choose thresholds; the new model keeps both.

    Writes model.keras, calibration.json, calibration.png and metrics.json.
    """
    with _with_keras():
        from keras_faramtn.evaluation.calibrate_file import calibrate_file
    calibrate_file(model, data, to, split=split, maximise=maximise, skip_bad=skip_bad)


@app.command()
def predict(
    model: AnyModel,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES", help="Images, or folders of images.")
    ],
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Total seconds for each request to a server, of up to 32 images, with all "
            "attempts.",
        ),
    ] = 10.0,
    detect: Detect = False,
    framing: FramingName = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --detect: a folder to create, with the faces and their attributes drawn "
            "into the photographs.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new .csv or .jsonl file for all probabilities."),
    ] = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Predict the attributes of faces. A .tflite or .onnx file needs no TensorFlow.

    Without --detect, each image is a face crop, framed as the model's training images. With it, the
    exit status is 1 if there is no face in any photograph.
    """
    from keras_faramtn.inference.output_file import check_output_path, write_predictions
    from keras_faramtn.inference.serving_address import is_url

    if output and thresholds and not draw:
        raise InputError("--output writes all probabilities; it can't be used with --thresholds.")
    named = _chosen_framing(framing, detect=detect)
    if draw and not detect:
        raise InputError("--draw is for photographs; use it with --detect.")
    if output:
        check_output_path(output)
    if detect:
        _predict_photographs(
            model,
            images,
            timeout=timeout,
            framing=named,
            draw=draw,
            output=output,
            thresholds=thresholds,
            skip_bad=skip_bad,
        )
        return
    options = {"skip_bad": skip_bad, "progress": True}
    recorded = None
    model = _find_model(model)
    with _for_model(model):
        if is_url(model):  # the server decodes the files
            from keras_faramtn.inference.served_model import read_served_record
            from keras_faramtn.inference.serving_client import predict_on_server

            predictions = predict_on_server(model, images, timeout=timeout, **options)
            if not (output or thresholds):
                recorded = read_served_record(model, timeout=timeout).threshold_by_attribute
        else:
            from keras_faramtn.inference.image_files import predict_files
            from keras_faramtn.inference.loading import load_predictor

            predictor = load_predictor(model)
            recorded = predictor.record.threshold_by_attribute
            predictions = predict_files(predictor, images, **options)
    if output:
        typer.echo(f"{write_predictions(output, predictions):,} predictions in {output}")
        return
    limits = None if thresholds else recorded
    for image, probabilities in predictions:
        limits = limits or _read_thresholds(thresholds, probabilities)
        _show_prediction(image, probabilities, limits)


def _predict_photographs(
    model: str,
    images: list[Path],
    *,
    timeout: float,
    framing: "Framing | None",
    draw: Path | None,
    output: Path | None,
    thresholds: Path | None,
    skip_bad: bool,
) -> None:
    from keras_faramtn.atomic_files import check_folder, refuse_inside
    from keras_faramtn.data.images import find_images
    from keras_faramtn.inference.serving_address import is_url

    if draw:
        check_folder(draw)
        for path in images:
            refuse_inside(draw, path)
    photographs = find_images(images)
    model = _find_model(model)
    with _for_model(model):
        from keras_faramtn.inference.loading import load_predictor
        from keras_faramtn.inference.output_file import write_photograph_predictions
        from keras_faramtn.inference.photographs import describe_photograph, predict_photographs

        if is_url(model):
            from keras_faramtn.inference.served_model import load_served_model

            predictor = load_served_model(model, timeout=timeout)
        else:
            predictor = load_predictor(model)
        predictions = predict_photographs(
            predictor, photographs, framing=framing, skip_bad=skip_bad, progress=True
        )
    recorded = predictor.record.threshold_by_attribute
    limits = _read_thresholds(thresholds, predictor.attributes) if thresholds else recorded
    if draw:
        from keras_faramtn.inference.drawn_files import write_drawings

        predictions = write_drawings(predictions, photographs, draw, limits)
    faces = 0
    if output:
        faces = write_photograph_predictions(output, predictions, predictor.attributes)
        typer.echo(f"{faces:,} predictions in {output}")
    else:
        for photograph in predictions:
            faces += len(photograph.faces)
            for line in describe_photograph(photograph, limits):
                print_line(line)
    if not faces:
        raise InputError(
            "no face was found; if the images are face crops, predict them without --detect."
        )


def _chosen_framing(name: str | None, *, detect: bool) -> "Framing | None":
    from keras_faramtn.framing import framing_named

    if name is None:
        return None
    if not detect:
        raise InputError("--framing is for photographs; use it with --detect.")
    return framing_named(name)


def _read_thresholds(path: Path | None, attributes: Iterable[str]) -> dict[str, float] | None:
    if path is None:
        return None
    from keras_faramtn.evaluation.thresholds import read_thresholds

    names = tuple(attributes)
    return dict(zip(names, read_thresholds(path, names), strict=True))


def _for_model(model: str) -> contextlib.AbstractContextManager[None]:
    """Where a model is loaded; only Keras's own files need Keras."""
    from keras_faramtn.inference.loading import needs_keras

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # of a SavedModel
    return _with_keras() if needs_keras(model) else hidden_stderr()


def _find_model(model: str) -> str:
    """Downloads a model if it is on the hub, with a progress bar, before messages are hidden."""
    from keras_faramtn.inference.loading import find_model

    return str(find_model(model))


@app.command()
def explain(
    model: ModelFile,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES", help="Face crops, or folders of them.")
    ],
    to: Annotated[Path, typer.Option(help="The folder to create.")],
    attributes: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            help="Show where the evidence for it lies. Repeat for several attributes.",
            show_default="none",
        ),
    ] = None,
    detect: Detect = False,
    framing: FramingName = None,
    skip_bad: SkipBad = False,
) -> None:
    """Show where the evidence for attributes lies, and what the network attends to.

    With --detect, photographs without a face are skipped; the exit status is 1 if there is no face
    in any of them.
    """
    named = _chosen_framing(framing, detect=detect)
    with _with_keras():
        from keras_faramtn.explanations.explain_files import explain_files
    _load_detector()
    explain_files(
        model,
        images,
        to,
        attributes=attributes or (),
        detect=detect,
        framing=named,
        skip_bad=skip_bad,
    )


@app.command()
def export(
    model: ModelFile,
    to: Annotated[Path, typer.Option(help="The folder to create.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Repeat for several formats.", show_default="all"),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option(
            help="Images for comparing the files with the model.", show_default="synthetic faces"
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Training images for calibrating the 8-bit file.", show_default="--faces"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
) -> None:
    """Write SavedModel, TFLite, ONNX and Keras files, and compare each with the model."""
    with _with_keras("tensorflow"):
        from keras_faramtn.export.export_model_file import export_model_file
    export_model_file(
        model, to, formats=formats, images=faces, calibration_images=calibrate, force=force
    )


@app.command()
def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Images, .tar, .tfrecord and .parquet files that contain images, folders of such "
            "files, and glob patterns in quotes.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(help="A .tflite or .onnx file, or one in an export or at hf://OWNER/NAME."),
    ],
    to: Annotated[Path, typer.Option(help="The folder to create or to resume.")],
    detect: Detect = False,
    framing: FramingName = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The head node of a Ray cluster, or auto for the cluster of this computer.",
            show_default="all cores of this computer, without a cluster",
        ),
    ] = None,
    shard_size: Annotated[
        int, typer.Option(min=1, help="Number of image files for each task.")
    ] = 1000,
) -> None:
    """Predict very many images on a Ray cluster, or all cores, into a folder of Parquet files.

    After an interruption, the same command resumes. The exit status is 1 if no image can be used.
    """
    from keras_faramtn.scoring.score import score_images

    summary = score_images(
        inputs,
        _find_model(model),
        to,
        detect=detect,
        framing=_chosen_framing(framing, detect=detect),
        address=address,
        images_per_shard=shard_size,
        progress=True,
    )
    typer.echo(
        f"{summary.images:,} images, {summary.faces:,} faces and {summary.errors:,} errors in {to}/"
    )
    if not summary.usable:
        raise InputError(f"no image could be used; the column `error` in {to} tells why.")


@app.command()
def demo_page(
    model: Annotated[
        str,
        typer.Argument(
            metavar="EXPORT",
            help="The folder of an export, a .tflite file in it, or hf://OWNER/NAME.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="The folder to create.")] = Path("page"),
) -> None:
    """Write a web page that runs an exported network in the visitor's browser."""
    from keras_faramtn.web_demo.writer import write_web_demo

    used = write_web_demo(model, to)
    typer.echo(f"{to}/ contains a page that runs {used.name}. Any web server can serve it:")
    typer.echo(f"  python -m http.server --bind localhost --directory {to} 8000")
    typer.echo("and open http://localhost:8000")


def _load_detector() -> None:
    """Loads the face detector, to hide the message that LiteRT prints for its first model."""
    with hidden_stderr():
        from keras_faramtn.faces.detector import FaceDetector

        FaceDetector()


def _run_folder(recipe: str) -> Path:
    return Path("runs") / Path(recipe).stem


def _show_prediction(
    image: Path, probabilities: dict[str, float], thresholds: Mapping[str, float] | None = None
) -> None:
    from keras_faramtn.inference.predictions import describe_prediction

    print_line(f"{image}: {describe_prediction(probabilities, thresholds)}")


@contextlib.contextmanager
def _with_keras(backend: str | None = None) -> Iterator[None]:
    """Imports Keras, and what the block imports, without TensorFlow's startup messages.

    Args:
        backend: the only backend that the command can use.

    Raises:
        InputError: Keras can't be imported with its current configuration.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["MPLBACKEND"] = "agg"  # that of a notebook may not be installed here
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - Keras would create a folder named `~`
        os.environ.setdefault("KERAS_HOME", str(Path(tempfile.gettempdir(), "keras")))
    with hidden_stderr():
        try:
            import keras  # noqa: F401
        except Exception as error:  # a bad setting raises almost any exception
            raise InputError(
                f"Keras can't be imported ({error}); check the environment variable KERAS_BACKEND, "
                f"which is {os.environ.get('KERAS_BACKEND', 'not set')}, and Keras's settings in "
                f"{_keras_settings()}"
            ) from error
        yield


def _keras_settings() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")) / "keras.json"
