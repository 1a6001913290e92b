"""The command line, `faramtn`. Heavy packages are imported only by the commands that need them."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from keras_faramtn import __version__
from keras_faramtn.errors import InputError, ServerError

app = typer.Typer(
    help="Face attribute recognition with FAR-AMTN, an attention multi-task network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Create or check a data set.", no_args_is_help=True)
app.add_typer(data_app, name="data")

# A default that is not a plain value is given as `show_default`. Square brackets in a help text
# would vanish: rich reads them as markup.
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Skip rows and images that can't be used."),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras file.")]
DataPath = Annotated[
    Path, typer.Option("--data", help="A folder of CelebA or LFWA, or a .csv file of attributes.")
]
RecipeName = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")]
RecipeData = Annotated[
    Path | None,
    typer.Option("--data", help="The data set.", show_default="the data set of the recipe"),
]
Thresholds = Annotated[
    Path | None,
    typer.Option(
        metavar="METRICS",
        help="The metrics.json of a training run, for the thresholds that were chosen there for "
        "balanced accuracy.",
        show_default="0.5 for all attributes",
    ),
]


class _ConsoleHandler(logging.Handler):
    """Prints messages as plain text, warnings to standard error and others to standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        file = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        tqdm.write(self.format(record), file=file)  # `print` would break a progress bar


@contextlib.contextmanager
def _console_logging() -> Iterator[None]:
    """Prints the messages of this package while a command runs."""
    logger, handler = logging.getLogger("keras_faramtn"), _ConsoleHandler()
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False  # other packages may install handlers that print messages again
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def main() -> None:
    """Runs the command line, and prints errors in the user's input without a traceback."""
    # The bytes of an image's name may not be valid in the terminal's encoding.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        app()
    except (InputError, ServerError, FloatingPointError, OSError) as error:
        sys.exit(f"faramtn: {error}")


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
) -> None:
    context.with_resource(_console_logging())


@app.command()
def demo(
    to: Annotated[Path, typer.Option(help="The folder to create.")] = Path("demo"),
    count: Annotated[int, typer.Option(min=100, help="Number of faces to draw.")] = 2000,
) -> None:
    """Draw faces, train a small network, evaluate, export and predict, all in a few minutes."""
    with _quiet_import():
        from keras_faramtn.experiments.demo import demo as run_demo
    run_demo(to, count, show=_show_prediction)


@data_app.command()
def synthesize(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    count: Annotated[int, typer.Option(min=1, help="Number of faces to draw.")] = 2000,
    height: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 218,
    width: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 178,
    seed: Annotated[int, typer.Option(min=0, help="Each seed gives other faces.")] = 0,
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
    from keras_faramtn.data.check import check_data, describe

    table = check_data(data, skip_bad=skip_bad)
    typer.echo(describe(table))


@app.command()
def train(
    recipe: RecipeName,
    data: RecipeData = None,
    to: Annotated[
        Path | None, typer.Option(help="The folder of the run.", show_default="runs/RECIPE")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Train a recipe, and evaluate on the validation split.

    After an interruption, the same command resumes from the last completed epoch.
    """
    with _quiet_import():
        from keras_faramtn.experiments.run import train_recipe
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
    with _quiet_import():
        from keras_faramtn.experiments.compare import run_comparison
    run_comparison(recipe, data, to or _run_folder(recipe), skip_bad=skip_bad)


@app.command()
def evaluate(
    model: ModelFile,
    data: DataPath,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    to: Annotated[
        Path | None,
        typer.Option(
            help="The folder to create, with metrics.json and contact_sheet.png.",
            show_default="evaluation_SPLIT in the folder of the model",
        ),
    ] = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Score a model: accuracy, balanced accuracy, average precision, majority-class baseline."""
    folder = to or model.parent / f"evaluation_{split}"
    with _quiet_import():
        from keras_faramtn.evaluation.evaluate import evaluate_file
    evaluate_file(model, data, split, folder, thresholds=thresholds, skip_bad=skip_bad)


@app.command()
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] IMAGES",
            help="A .tflite or .keras file, unless --server is given; then images, or folders of "
            "images.",
        ),
    ],
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Query a TensorFlow Serving server: http://HOST:8501/v1/models/NAME, or "
            "grpc://HOST:8500/NAME; https or grpcs for TLS.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Total seconds for each request to the server, of up to 32 images, with all "
            "attempts.",
        ),
    ] = 10.0,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new .csv or .jsonl file for all probabilities."),
    ] = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Predict the attributes of faces. A .tflite file needs no TensorFlow."""
    from keras_faramtn.inference.output_file import check_output_path, write_predictions

    if output and thresholds:
        raise InputError("--output writes all probabilities; it can't be used with --thresholds.")
    if output:
        check_output_path(output)
    if server is None and len(paths) == 1:
        raise InputError("give a model and images: faramtn predict MODEL IMAGES...")
    options = {"skip_bad": skip_bad, "progress": True}
    with _quiet_import():
        if server is not None:
            from keras_faramtn.inference.serving_client import predict_on_server

            predictions = predict_on_server(server, paths, timeout=timeout, **options)
        else:
            from keras_faramtn.inference.predictor import predict_files

            predictions = predict_files(paths[0], paths[1:], **options)
    if output:
        typer.echo(f"{write_predictions(output, predictions):,} predictions in {output}")
        return
    limits = None
    for image, probabilities in predictions:
        if thresholds and limits is None:
            from keras_faramtn.evaluation.thresholds import read_thresholds

            names = tuple(probabilities)
            limits = dict(zip(names, read_thresholds(thresholds, names), strict=True))
        _show_prediction(image, probabilities, limits)


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
            help="Images to compare the files with the model on.", show_default="synthetic faces"
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Training images, to calibrate the 8-bit file on.", show_default="--faces"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
) -> None:
    """Write SavedModel, TFLite and ONNX files, and compare each with the model."""
    with _quiet_import():
        from keras_faramtn.export.export_model_file import export_model_file
    export_model_file(
        model, to, formats=formats, images=faces, calibration_images=calibrate, force=force
    )


@app.command()
def demo_page(
    model: Annotated[
        Path,
        typer.Argument(metavar="EXPORT", help="The folder of an export, or a .tflite file in it."),
    ],
    to: Annotated[Path, typer.Option(help="The folder to create.")] = Path("page"),
) -> None:
    """Write a web page that runs an exported network in the visitor's browser."""
    from keras_faramtn.web_demo.writer import write_web_demo

    used = write_web_demo(model, to)
    typer.echo(f"{to}/ is a page that runs {used.name}. Any web server can serve it. To see it:")
    typer.echo(f"  python -m http.server --bind localhost --directory {to} 8000")
    typer.echo("and open http://localhost:8000")


def _run_folder(recipe: str) -> Path:
    return Path("runs") / Path(recipe).stem


def _show_prediction(
    image: Path, probabilities: dict[str, float], thresholds: Mapping[str, float] | None = None
) -> None:
    from tqdm import tqdm

    from keras_faramtn.inference.predictions import describe_prediction

    # `print` would break a progress bar.
    tqdm.write(f"{image}: {describe_prediction(probabilities, thresholds)}")


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Hides TensorFlow's start-up messages; no setting silences those from C++."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as devnull:  # noqa: PTH123
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
