"""The one exception that means: what the user gave can't be used."""


class InputError(ValueError):
    """A file, a value or an option from the user can't be used.

    The message names the file (and line), the value and the remedy. The command line prints it
    without a traceback.
    """
