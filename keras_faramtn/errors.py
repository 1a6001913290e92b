"""The exceptions that mean: what was given can't be used, not: the program is wrong."""


class InputError(ValueError):
    """A file, a value or an option from the user can't be used.

    The message names the file (and line), the value and the remedy. The command line prints it
    without a traceback.
    """


class ServerError(RuntimeError):
    """A server can't be reached, refuses, or answers what a served model of this package doesn't.

    The message names the server's address, what it said, and the remedy.
    """
