"""Console output of the command line: streams, messages, and errors without a traceback.

Standard output may be a file, a pipe that is closed early, or a Windows terminal that lacks the
characters of a file name. None of these may stop a command in the middle of its work.
"""

import codecs
import contextlib
import errno
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import TextIO

from keras_faramtn.errors import InputError, ServerError

ISSUES = "https://github.com/keras-faramtn/keras-faramtn/issues"

EXIT_FAILURE, EXIT_BUG, EXIT_INTERRUPTED = 1, 70, 130
"""Exit statuses: a problem with the user's input or computer, a bug, and Ctrl-C."""

_ENCODING_ERRORS = "keras_faramtn.console"  # the name under which `_encode_anyway` is registered


def prepare_streams() -> None:
    """Lets the standard streams print any text, one line at a time, without Pillow's warnings.

    Raises:
        SystemExit: standard output or standard error is closed. The next file that is opened would
            get its descriptor, and messages would be written into that file.
    """
    # Pillow's, about images of 89 to 179 megapixels, which are read.
    warnings.filterwarnings("ignore", message=".*could be decompression bomb")
    for name, stream in {"output": sys.stdout, "error": sys.stderr}.items():
        if stream is None:
            sys.exit(f"faramtn: standard {name} is closed; redirect it to a file, or to /dev/null.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(_ENCODING_ERRORS, _encode_anyway)
        sys.stdout.reconfigure(errors=_ENCODING_ERRORS, line_buffering=True)


def _encode_anyway(error: UnicodeError) -> tuple[str | bytes, int]:
    """File names that are not valid Unicode keep their bytes; other characters become `?`."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.replace_errors(error)


@contextlib.contextmanager
def report_errors(*, debug: bool) -> Iterator[None]:
    """Turns an exception into one message on standard error and an exit status.

    Args:
        debug: print the traceback too.

    Raises:
        SystemExit: with the exit status. The exceptions of Typer pass unchanged.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        _exit("interrupted.", EXIT_INTERRUPTED, debug)
    except BrokenPipeError:
        # As after `| head`: the reader wants no more. Python would complain when it exits.
        _discard(sys.stdout)
        sys.exit(EXIT_FAILURE)
    except (InputError, ServerError, FloatingPointError) as error:
        _exit(str(error), EXIT_FAILURE, debug)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _discard(sys.stdout)
        _exit(_describe_system_error(error), EXIT_FAILURE, debug)
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("typer", "click"):
            raise
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            message = "there is too little memory; try a smaller training.batch_size or data set."
            _exit(message, EXIT_FAILURE, debug)
        detail = str(error).strip().partition("\n")[0]
        _exit(
            f"{type(error).__name__}: {detail}\nThis is probably a bug: run the command again with "
            f"--debug, and report its output at {ISSUES}",
            EXIT_BUG,
            debug,
        )


def _exit(message: str, status: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"faramtn: {message}", file=sys.stderr)
    sys.exit(status)


def _describe_system_error(error: OSError) -> str:
    if error.strerror is None:  # as raised by Python code, such as h5py's
        return str(error) or type(error).__name__
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}."


def _discard(stream: TextIO) -> None:
    """Discards all output to a stream, and what is buffered, which would raise the error again."""
    with contextlib.suppress(OSError, ValueError):  # a stream in a test may have no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


@contextlib.contextmanager
def console_logging() -> Iterator[None]:
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


class _ConsoleHandler(logging.Handler):
    """Prints messages as plain text, warnings to standard error and others to standard output.

    A message that can't be printed doesn't stop the work that it reports: when the reader has
    closed the pipe, or the disk is full, all further output to that stream is discarded.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.levelno >= logging.WARNING
        try:
            print_line(self.format(record), error=error)
        except OSError as problem:
            if not isinstance(problem, BrokenPipeError) and problem.errno != errno.ENOSPC:
                raise
            _discard(sys.stderr if error else sys.stdout)


def print_line(text: str, *, error: bool = False) -> None:
    """Prints to standard output, or standard error, without breaking a progress bar."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr if error else sys.stdout)


@contextlib.contextmanager
def hidden_stderr() -> Iterator[None]:
    """Discards standard error. No setting silences the messages of TensorFlow's C++ code."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as devnull:  # noqa: PTH123
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
