"""Exceptions for invalid input and for servers that fail."""


class InputError(ValueError):
    """A file, a value or an option from the user can't be used.

    The message names the file (and line), the value and the remedy. The command line prints it
    without a traceback.
    """


class ServerError(RuntimeError):
    """A server can't be reached, refuses a request, or sends an invalid response.

    The message names the server's address, its response and the remedy.
    """
