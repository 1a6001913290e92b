"""Downloads files of models from the Hugging Face hub."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeGuard

from keras_faramtn.errors import InputError, reason

_SCHEME = "hf://"
_HANDLE = re.compile(rf"{_SCHEME}([\w-][\w.-]*/[\w-][\w.-]*)", re.ASCII)


def is_hub_handle(source: str | Path) -> TypeGuard[str]:
    """Whether `source` names a repository on the hub, as Keras does, and not a file.

    Example:
        >>> is_hub_handle("hf://owner/name"), is_hub_handle("model.keras")
        (True, False)
    """
    return isinstance(source, str) and source.startswith(_SCHEME)


def download_from_hub(handle: str, choose: Callable[[list[str]], Iterable[str]]) -> Path:
    """Downloads files of a repository on the hub, unless they are in the hub's cache already.

    If the hub can't be reached, files that were downloaded before are used.

    Args:
        handle: `hf://OWNER/NAME`.
        choose: a function from the sorted paths of the files that exist to those to download; in
            these, `*` stands for any characters.

    Returns:
        A folder in the cache with the files. It may contain others.

    Raises:
        InputError: `handle` is not of this form; the package huggingface_hub is missing; there is
            no such repository, or it may not be read; the hub can't be reached, and the files were
            not downloaded before; or as `choose` raises.
    """
    repository = _repository(handle)
    from huggingface_hub import HfApi, snapshot_download

    cached = None
    with _explained_errors(handle):
        try:
            names = HfApi().list_repo_files(repository)
        except Exception:  # of the hub, of its HTTP client, or of the system
            cached = _cached(repository)
            if cached is None:
                raise
            files = (path for path in cached.rglob("*") if path.is_file())
            names = [path.relative_to(cached).as_posix() for path in files]
    patterns = list(choose(sorted(names)))
    with _explained_errors(handle):
        local = cached is not None
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=local))


def _cached(repository: str) -> Path | None:
    """The folder with the files of a repository that were downloaded before, if there are any."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=[], local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _repository(handle: str) -> str:
    """`OWNER/NAME` of a handle, if it is one, and the package huggingface_hub is installed."""
    try:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id
    except ImportError as error:
        raise InputError(
            f"{handle}: models on the Hugging Face hub need one more package: pip install "
            "'keras-faramtn[hub]'."
        ) from error
    match = _HANDLE.fullmatch(handle)
    try:
        if match:
            validate_repo_id(match[1])
            return match[1]
    except HFValidationError:
        pass
    raise InputError(f"{handle}: a model on the Hugging Face hub is written hf://OWNER/NAME.")


@contextlib.contextmanager
def _explained_errors(handle: str) -> Iterator[None]:
    """Turns the errors of requests to the hub into `InputError`s with a remedy."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    page = f"{constants.ENDPOINT}/{handle.removeprefix(_SCHEME)}"
    try:
        yield
    except GatedRepoError as error:
        problem = f"accept its terms at {page}, and log in with `hf auth login`"
        raise InputError(
            f"{handle}: access to this repository is restricted; {problem}."
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{handle}: the hub has no such repository, or it is private; check its name, and log "
            "in with `hf auth login` or set HF_TOKEN if it is private."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise _unreachable(handle, error) from error
    except HfHubHTTPError as error:
        raise InputError(f"{handle}: the hub reports: {reason(error)}; try again later.") from error
    except Exception as error:  # of the HTTP client, or of the system
        raise _unreachable(handle, error) from error


def _unreachable(handle: str, error: Exception) -> InputError:
    from huggingface_hub import constants

    return InputError(
        f"{handle}: the files are not complete in the hub's cache, {constants.HF_HUB_CACHE}, and "
        f"can't be downloaded: {reason(error)}; check the connection, and whether HF_HUB_OFFLINE "
        "is set."
    )
