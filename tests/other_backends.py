"""Runs code on the other backends of Keras, in one process for each: their imports take seconds."""

import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

OTHER_BACKENDS = ("jax", "torch")


def run_on(backend, code):
    """Runs code that raises no exception on a backend that is installed."""
    process = _process(backend)
    process.stdin.write(f"{json.dumps(code)}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, f"the process on {backend} has died; see the error output"
    assert answer == '""\n', json.loads(answer)


@functools.cache
def _process(backend):
    """A process that runs until this one ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import other_backends; other_backends.serve()"],
        cwd=Path(__file__).parent,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            # Compiling takes longer than the tests' small networks take to run.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    return process


def serve():
    """Runs each line of standard input, code as JSON; prints "" or the traceback, as JSON."""
    for line in sys.stdin:
        error = ""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                exec(json.loads(line), {})
        except Exception:
            error = traceback.format_exc()
        print(json.dumps(error), flush=True)
