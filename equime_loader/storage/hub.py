"""Datasets on the Hugging Face Hub: ``hf://datasets/ORG/NAME@REVISION/FOLDER``, pinned to a commit.

The Hub's own filesystem is not used to read: it asks for the listing of a folder first, reads 5 MB ahead, and asks the
Hub again for each range. Here a commit is looked up once, a range is one exact request, and where a file's bytes lie is
asked once for each file, which keeps a training run far from the Hub's limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from equime_loader.storage.errors import Failure, MissingError
from equime_loader.storage.http import HttpSource
from equime_loader.storage.paths import check_path
from equime_loader.storage.retry import AGAIN, Retries, persist
from equime_loader.storage.source import Token

_URL = re.compile(
    r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)"
    r"(@(?P<revision>refs/(?:convert|pr)/[^/@]+|[^/@]+))?(/(?P<folder>[^@]*))?",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Repository:
    """What an hf:// URL names. `revision` is a branch, tag or commit; `folder` may be empty."""

    name: str
    revision: str
    folder: str


def parse_url(root: str) -> Repository:
    """The parts of ``hf://datasets/ORG/NAME[@REVISION][/FOLDER]``.

    Raises:
        ValueError: another form.
    """
    found = _URL.fullmatch(root.rstrip("/"))
    if found is None:
        raise ValueError(f"root={root!r} must read hf://datasets/ORG/NAME, then @REVISION and /FOLDER where needed")
    folder = check_path(found["folder"]) if found["folder"] else ""
    return Repository(found["repository"], unquote(found["revision"] or "main"), folder)


def hub_source(
    root: str, *, token: Token | None, retries: Retries, endpoint: str | None = None, **options: Any
) -> HttpSource:
    """The source of a dataset on the Hub, at the commit that its revision names now.

    Args:
        token: else the one of ``HF_TOKEN`` or of ``hf auth login``, where there is one.
        endpoint: of the Hub, else ``HF_ENDPOINT`` or the public one.
        options: of fsspec's HTTP filesystem.

    Raises:
        AccessError, MissingError, StorageError: no such dataset or revision, or none that may be read.
    """
    # The package gives its submodules out only once they were imported by name.
    from huggingface_hub import constants, get_token

    repository = parse_url(root)
    endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
    if token is None and (stored := get_token()):
        token = Token(stored)

    def source(commit: str) -> HttpSource:
        base = f"{endpoint}/datasets/{repository.name}/resolve/{quote(commit, safe='')}/{quote(repository.folder)}"
        page = f"{endpoint}/datasets/{repository.name}"
        return HttpSource(
            root,
            base=base,
            token=token,
            page=page,
            timeout_s=retries.timeout_s,
            options=options,
            version=f"{commit}/{repository.folder}",
            keep_targets=True,
        )

    if _COMMIT.fullmatch(repository.revision):
        return source(repository.revision)
    refusals = source(repository.revision)
    return source(persist(lambda: _commit(repository, endpoint, token, retries, refusals), retries, root))


def _commit(
    repository: Repository, endpoint: str, token: Token | None, retries: Retries, refusals: HttpSource
) -> str | Failure:
    """The commit of a revision: one question to the Hub."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        hub = HfApi(endpoint=endpoint, token=token.secret if token else False)
        info = hub.dataset_info(repository.name, revision=repository.revision, timeout=retries.timeout_s)
    except OfflineModeIsEnabled:
        return Failure("HF_HUB_OFFLINE is set; unset it, or open a folder", again=False)
    except RevisionNotFoundError:
        return Failure(f"no revision {repository.revision!r}", again=False, error=MissingError)
    except RepositoryNotFoundError as error:  # a gated repository's error is one of these
        return refusals.closed(*_answered(error))
    except HfHubHTTPError as error:
        status, headers = _answered(error)
        return refusals.refusal(status, headers) or Failure(f"HTTP {status}", again=status in AGAIN)
    except Exception as error:  # of the Hub's HTTP library, which changes with its version
        return Failure(f"{type(error).__name__} from the Hub", again=True)
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        return Failure("the Hub names no commit", again=True)
    return info.sha


def _answered(error: Any) -> tuple[int, Mapping[str, str]]:
    response = getattr(error, "response", None)
    return (response.status_code, response.headers) if response is not None else (0, {})
