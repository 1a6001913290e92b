"""The `faramtn` command. Nothing heavy is imported until a command needs it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from keras_faramtn import __version__
from keras_faramtn.errors import InputError

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
    typer.Option("--skip-bad", help="Go on without rows and pictures that can't be used."),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras file.")]
DataFolder = Annotated[
    Path, typer.Option("--data", help="A folder in CelebA's, torchvision's or Kaggle's layout.")
]


def main() -> None:
    """Runs the command line; what is wrong with the user's input is said in plain words."""
    try:
        app()
    except (InputError, FloatingPointError) as error:
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
    _workflows().demo(to, count, show=_show_prediction)


@data_app.command()
def synthesize(
    folder: Annotated[Path, typer.Argument(help="The new folder.")],
    count: Annotated[int, typer.Option(min=1, help="Faces to draw.")] = 2000,
    height: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 218,
    width: Annotated[int, typer.Option(min=32, max=1024, help="In pixels.")] = 178,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other faces.")] = 0,
) -> None:
    """Draw synthetic faces with CelebA's 40 attributes, in CelebA's layout."""
    from keras_faramtn.data.synthetic import synthesize as draw

    draw(folder, count, image_size=(height, width), seed=seed)
    typer.echo(f"{count:,} faces in {folder}/")


@data_app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A folder in one of CelebA's layouts.")],
    skip_bad: SkipBad = False,
) -> None:
    """Read all labels of a data set, open all pictures, and say what is there."""
    from keras_faramtn.data.check import check_data, describe

    table = check_data(folder, skip_bad=skip_bad)
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
    """Train a recipe, and evaluate on the validation part.

    Stopped in any way, the same command goes on from the last completed epoch.
    """
    folder = to or Path("runs") / Path(recipe).stem
    _workflows().train_recipe(recipe, data, folder, skip_bad=skip_bad)


@app.command()
def evaluate(
    model: ModelFile,
    data: DataFolder,
    part: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    to: Annotated[
        Path | None,
        typer.Option(help="The new folder for metrics.json and contact_sheet.png."),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Score a model: accuracy, balanced accuracy, average precision, beside the majority."""
    folder = to or model.parent / f"evaluation_{part}"
    _workflows().evaluate_file(model, data, part, folder, skip_bad=skip_bad)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite or .keras file.")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
) -> None:
    """Say which attributes faces show. A .tflite file needs no TensorFlow."""
    from keras_faramtn.predict import predict_files

    with contextlib.nullcontext() if model.suffix == ".tflite" else _quiet_import():
        if model.suffix != ".tflite":
            import keras_faramtn.models  # noqa: F401
    for picture, probabilities in predict_files(model, pictures):
        _show_prediction(picture, probabilities)


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
        typer.Option(help="Pictures to compare on.  [default: synthetic faces]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
) -> None:
    """Write SavedModel, TFLite and ONNX files, each compared with the model."""
    _workflows().export(model, to, formats=formats, faces=faces, force=force)


def _show_prediction(picture: Path, probabilities: dict[str, float]) -> None:
    shown = {name: p for name, p in probabilities.items() if p > 0.5}
    ranked = sorted(shown.items(), key=lambda item: -item[1])
    names = ", ".join(f"{name} {100 * p:.0f} %" for name, p in ranked)
    typer.echo(f"{picture}: {names or 'no attribute above 50 %'}")


def _workflows() -> ModuleType:
    with _quiet_import():
        from keras_faramtn import workflows
    return workflows


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
