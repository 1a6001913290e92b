"""The message and the exit status of each kind of exception."""

import errno
import io
import logging
import os
import sys

import pytest
import typer

from keras_faramtn.console import ISSUES, console_logging, prepare_streams, report_errors
from keras_faramtn.errors import InputError, ServerError


class ResourceExhaustedError(Exception):
    """Like TensorFlow's error for a device without enough memory."""


def _report(error, capsys, debug=False):
    """Exit status and standard error after `error`."""
    with pytest.raises(SystemExit) as end, report_errors(debug=debug):
        raise error
    out, err = capsys.readouterr()
    assert out == ""
    return end.value.code, err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("a.csv: empty."), 1, "a.csv: empty."),
        (ServerError("http://host: silent."), 1, "http://host: silent."),
        (FloatingPointError("the loss is NaN."), 1, "the loss is NaN."),
        (OSError(errno.EACCES, "Permission denied", "a.csv"), 1, "a.csv: Permission denied."),
        (OSError("no HDF5 signature"), 1, "no HDF5 signature"),
        (OSError(), 1, "OSError"),
        (KeyboardInterrupt(), 130, "interrupted."),
    ],
)
def test_an_expected_error_is_one_line(error, status, message, capsys):
    assert _report(error, capsys) == (status, f"faramtn: {message}\n")


@pytest.mark.parametrize("error", [MemoryError(), ResourceExhaustedError("OOM when allocating")])
def test_too_little_memory_is_not_a_bug(error, capsys):
    status, err = _report(error, capsys)
    assert status == 1
    assert err.startswith("faramtn: there is too little memory")


@pytest.mark.parametrize("error", [KeyError("a"), AssertionError(), RecursionError("too deep\nx")])
def test_any_other_error_is_a_bug_to_be_reported(error, capsys):
    status, err = _report(error, capsys)
    assert status == 70
    first, second = err.splitlines()
    assert first.startswith(f"faramtn: {type(error).__name__}: ")
    assert second.startswith("This is probably a bug: ")
    assert "--debug" in second
    assert ISSUES in second


@pytest.mark.parametrize("error", [InputError("a.csv: empty."), KeyError("a"), KeyboardInterrupt()])
def test_debug_adds_the_traceback(error, capsys):
    _, err = _report(error, capsys, debug=True)
    assert err.startswith("Traceback (most recent call last):")
    assert "raise error" in err
    assert "\nfaramtn: " in err


@pytest.mark.parametrize("error", [typer.Exit(3), typer.Abort(), typer.BadParameter("bad")])
def test_errors_of_the_command_line_itself_pass_unchanged(error):
    with pytest.raises(type(error)), report_errors(debug=False):
        raise error


def test_a_reader_that_has_closed_the_pipe_is_not_an_error(capsys):
    assert _report(BrokenPipeError(errno.EPIPE, "Broken pipe"), capsys) == (1, "")


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("cp1252", b"\xfc \xff ??"),
        ("ascii", b"? \xff ??"),
        ("utf-8", "ü ".encode() + b"\xff " + "写真".encode()),
    ],
)
def test_any_file_name_can_be_printed(encoding, printed, monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding))
    prepare_streams()
    print(f"ü {os.fsdecode(bytes([255]))} 写真")
    assert content.getvalue() == printed + b"\n"


@pytest.mark.parametrize(("closed", "name"), [("stdout", "output"), ("stderr", "error")])
def test_a_closed_stream_is_refused(closed, name, monkeypatch):
    monkeypatch.setattr(sys, closed, None)
    with pytest.raises(SystemExit, match=f"standard {name} is closed"):
        prepare_streams()


def _closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "wb", buffering=0)


def _full_disk():
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("needs /dev/full")
    return open("/dev/full", "wb", buffering=0)  # noqa: PTH123


@pytest.mark.parametrize("open_stream", [_closed_pipe, _full_disk])
@pytest.mark.parametrize(
    ("stream", "level"), [("stdout", logging.INFO), ("stderr", logging.WARNING)]
)
def test_a_message_that_cannot_be_printed_does_not_stop_the_work(
    open_stream, stream, level, monkeypatch
):
    lines = []
    with io.TextIOWrapper(io.BufferedWriter(open_stream()), line_buffering=True) as output:
        monkeypatch.setattr(sys, stream, output)
        with report_errors(debug=False), console_logging():
            for number in range(3):
                logging.getLogger("keras_faramtn.test").log(level, "line %d", number)
                lines.append(number)
            print("more", file=output)  # as Keras's progress bar does
    assert lines == [0, 1, 2]


def test_another_error_of_the_output_is_raised(monkeypatch):
    class Output(io.StringIO):
        def write(self, text):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stdout", Output())
    with console_logging(), pytest.raises(OSError, match="Input/output error"):
        logging.getLogger("keras_faramtn.test").info("line")
