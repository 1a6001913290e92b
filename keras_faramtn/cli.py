"""The `faramtn` command. Nothing heavy is imported until a command needs it."""

import contextlib
import os
import sys
from collections.abc import Iterator
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
data_app = typer.Typer(help="Make or check a data set.", no_args_is_help=True)
app.add_typer(data_app, name="data")

SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Go on without rows and images that can't be used."),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras file.")]
DataFolder = Annotated[
    Path, typer.Option("--data", help="A folder of CelebA or LFWA, or a .csv file of attributes.")
]

Thresholds = Annotated[
    Path | None,
    typer.Option(
        metavar="METRICS",
        help="The metrics.json of a training, with the thresholds chosen there for balanced "
        "accuracy.  [default: 0.5 for all]",
    ),
]


def main() -> None:
    """Runs the command line; what is wrong with the user's input is said in plain words."""
    # The bytes of an image's name need not be what the terminal writes.
    sys.stdout.reconfigure(errors="surrogateescape")
    try:
        app()
    except (InputError, ServerError, FloatingPointError, OSError) as error:
        sys.exit(f"faramtn: {error}")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"faramtn {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    to: Annotated[Path, typer.Option(help="The new folder that the demo leaves.")] = Path("demo"),
    count: Annotated[int, typer.Option(min=100, help="Faces to draw.")] = 2000,
) -> None:
    """Draw faces, train a small network, evaluate, export and predict: all in a few minutes."""
    with _quiet_import():
        from keras_faramtn.experiments.demo import demo as run_demo
    run_demo(to, count, show=_show_prediction)


@data_app.command()
def synthesize(
    folder: Annotated[Path, typer.Argument(help="The new folder.")],
    count: Annotated[int, typer.Option(min=1, help="Faces to draw.")] = 2000,
    height: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 218,
    width: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 178,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other faces.")] = 0,
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
    """Read all labels of a data set, open all images, and say what is there."""
    from keras_faramtn.data.check import check_data, describe

    table = check_data(data, skip_bad=skip_bad)
    typer.echo(describe(table))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The data; else the recipe must name it.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The folder of the run.  [default: runs/RECIPE]")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Train a recipe, and evaluate on the validation split.

    Stopped in any way, the same command goes on from the last completed epoch.
    """
    folder = to or Path("runs") / Path(recipe).stem
    with _quiet_import():
        from keras_faramtn.experiments.run import train_recipe
    train_recipe(recipe, data, folder, skip_bad=skip_bad)


@app.command()
def compare(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The data; else the recipe must name it.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Its folder, new or to go on with.  [default: runs/RECIPE]"),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Train variants of a network alike, and lay their scores and costs beside each other.

    Stopped, the same command goes on where it was.
    """
    with _quiet_import():
        from keras_faramtn.experiments.compare import run_comparison
    folder = to or Path("runs") / Path(recipe).stem
    run_comparison(recipe, data, folder, skip_bad=skip_bad)


@app.command()
def evaluate(
    model: ModelFile,
    data: DataFolder,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    to: Annotated[
        Path | None,
        typer.Option(help="The new folder for metrics.json and contact_sheet.png."),
    ] = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Score a model: accuracy, balanced accuracy, average precision, beside the majority."""
    folder = to or model.parent / f"evaluation_{split}"
    with _quiet_import():
        from keras_faramtn.evaluation.evaluate import evaluate_file
    evaluate_file(model, data, split, folder, thresholds=thresholds, skip_bad=skip_bad)


@app.command()
def predict(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] IMAGES",
            help="A .tflite or .keras file, unless there is a server; then images, or folders "
            "of images.",
        ),
    ],
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask a TensorFlow Serving: http://HOST:8501/v1/models/NAME, or "
            "grpc://HOST:8500/NAME.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for an answer of the server.")
    ] = 10.0,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new .csv or .jsonl file for all probabilities."),
    ] = None,
    thresholds: Thresholds = None,
    skip_bad: SkipBad = False,
) -> None:
    """Say which attributes faces show. A .tflite file needs no TensorFlow."""
    from keras_faramtn.evaluation.thresholds import read_thresholds
    from keras_faramtn.inference.output import check_output_path, write_predictions

    if output and thresholds:
        raise InputError("--output writes all probabilities, whatever --thresholds; leave one out.")
    if output:
        check_output_path(output)
    if server is None and len(places) == 1:
        raise InputError("give a model and images: faramtn predict MODEL IMAGES...")
    with _quiet_import():
        if server is not None:
            from keras_faramtn.inference.serving_client import predict_on_server

            found = predict_on_server(
                server, places, timeout=timeout, skip_bad=skip_bad, progress=True
            )
        else:
            from keras_faramtn.inference.predictor import predict_files

            found = predict_files(places[0], places[1:], skip_bad=skip_bad, progress=True)
    if output:
        typer.echo(f"{write_predictions(output, found):,} predictions in {output}")
    else:
        least = None
        for image, probabilities in found:
            if thresholds is not None and least is None:
                names = tuple(probabilities)
                least = dict(zip(names, read_thresholds(thresholds, names), strict=True))
            _show_prediction(image, probabilities, least)


@app.command()
def export(
    model: ModelFile,
    to: Annotated[Path, typer.Option(help="The new folder.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Repeat for several.  [default: all]"),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option(help="Images to compare on.  [default: synthetic faces]"),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Training images, for the ranges of the 8 bit file.  [default: --faces]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
) -> None:
    """Write SavedModel, TFLite and ONNX files, each compared with the model."""
    with _quiet_import():
        from keras_faramtn.export.export_file import export_file
    export_file(model, to, formats=formats, faces=faces, calibrate=calibrate, force=force)


@app.command()
def demo_page(
    model: Annotated[
        Path, typer.Argument(metavar="EXPORT", help="An export's folder, or a .tflite file of it.")
    ],
    to: Annotated[Path, typer.Option(help="The new folder.")] = Path("page"),
) -> None:
    """Write a web page that runs an exported network in the visitor's own browser."""
    from keras_faramtn.web_demo.writer import write_web_demo

    used = write_web_demo(model, to)
    typer.echo(f"{to}/ is a page that runs {used.name}; any web server can serve it. To see it:")
    typer.echo(f"  python -m http.server --bind localhost --directory {to} 8000")
    typer.echo("and open http://localhost:8000")


def _show_prediction(
    image: Path, probabilities: dict[str, float], thresholds: dict[str, float] | None = None
) -> None:
    from tqdm import tqdm

    from keras_faramtn.attributes import DEFAULT_THRESHOLD

    least = thresholds or dict.fromkeys(probabilities, DEFAULT_THRESHOLD)
    shown = {name: p for name, p in probabilities.items() if p > least[name]}
    ranked = sorted(shown.items(), key=lambda item: -item[1])
    names = ", ".join(f"{name} {100 * p:.0f} %" for name, p in ranked)
    bar = "its threshold" if thresholds else f"{100 * DEFAULT_THRESHOLD:.0f} %"
    # Plain printing would break a progress bar.
    tqdm.write(f"{image}: {names or f'no attribute above {bar}'}")


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Holds back TensorFlow's start-up messages; no setting reaches those from C++."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
