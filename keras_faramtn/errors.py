"""Exceptions for invalid input and for servers that fail."""


class InputError(ValueError):
    """A file, a value or an option from the user can't be used.

    The message names the file (and line), the value and the remedy. The command line prints it
    without a traceback.

    Example:
        >>> from keras_faramtn import read_dataset
        >>> try:
        ...     read_dataset("no_such_folder")
        ... except InputError as error:
        ...     print(str(error).split(":")[0])
        no_such_folder
    """


class ServerError(RuntimeError):
    """A server can't be reached, rejects a request, or sends an invalid response.

    The message names the server's address, its response and the remedy.

    Example:
        >>> raise ServerError("http://localhost:8501: connection refused; start the server.")
        Traceback (most recent call last):
            ...
        keras_faramtn.errors.ServerError: http://localhost:8501: connection refused; ...
    """


def reason(error: BaseException) -> str:
    """Describes why an operation failed, for a message that already names the file.

    Args:
        error: any exception; some `OSError`s have no `strerror`, or no text at all.

    Returns:
        The first line of the reason, without a period at its end; never empty.

    Example:
        >>> reason(FileNotFoundError(2, "No such file or directory", "a.jpg"))
        'No such file or directory'
        >>> reason(OSError())
        'OSError'
    """
    text = getattr(error, "strerror", None) or str(error)
    return next(iter(text.strip().splitlines()), "").rstrip(". ") or type(error).__name__
