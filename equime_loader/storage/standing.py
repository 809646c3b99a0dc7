"""Whether a user may read a dataset on the Hub, asked before anything is loaded; if not, what to do, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equime_loader.storage.errors import AccessError, Failure, MissingError, one_line
from equime_loader.storage.retry import AGAIN, Retries, asked_wait_s, persist

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PATIENCE = Retries(attempts=4)
# What the Hub says with 401 of a token that it does not take, in part and in lower case.
_NO_TOKEN = ("credentials", "is expired", "username or password", "invalid token", "is revoked")
# What the Hub says of a request, in part, and what comes next. The words count, whatever code comes with them.
_SAID = (
    (
        "fine-grained token",
        "your token may not read gated datasets; give it that right at {endpoint}/settings/tokens, or run `hf auth "
        "login` with a token of type read",
    ),
    (
        "awaiting a review",
        "your request for access is pending; its owners decide, and the Hub mails you then: load it again after that",
    ),
    ("has been rejected", "your request for access was rejected; write to the owners if that is a mistake: {page}"),
    ("has been reset", "your access was reset; ask for it again at {page}"),
)


def commit_to_read(
    repository: str,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    endpoint: str | None = None,
    retries: Retries = PATIENCE,
) -> str:
    """The commit of a dataset that this user may read.

    Args:
        repository: ORG/NAME. revision: branch, tag or commit, by default main.
        token: of the user; None: the one of ``HF_TOKEN`` or ``hf auth login``; False: none.

    Raises:
        AccessError: not logged in, not let in, or a request that is pending or was rejected.
        MissingError: no such dataset or revision.
        StorageError: the Hub does not answer.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token=token)
    return persist(lambda: _attempt(api, repository, revision), retries, repository)


def _attempt(api: HfApi, repository: str, revision: str | None) -> str | Failure:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    secret = _secret(api)
    try:
        info = api.dataset_info(repository, revision=revision)
        api.auth_check(repository, repo_type="dataset")
    except OfflineModeIsEnabled:
        return Failure("HF_HUB_OFFLINE is set; unset it, or name a folder with data_dir=", again=False)
    except HFValidationError:
        return Failure("is no name of a dataset; it must read ORG/NAME (EQUIME_REPO)", again=False)
    except HfHubHTTPError as error:
        status, headers = error.response.status_code, error.response.headers
    except Exception as error:  # of the Hub's HTTP library, which changes with its version
        return Failure(f"{type(error).__name__}: the Hub cannot be reached; name a folder with data_dir=", again=True)
    else:
        return str(info.sha)
    return _refusal(api.endpoint, repository, revision, secret, status, headers)


def _secret(api: HfApi) -> str:
    """The token that is sent, empty where none is; only ever compared and blotted out."""
    import huggingface_hub

    if isinstance(api.token, str):
        return api.token
    return "" if api.token is False else huggingface_hub.get_token() or ""


def _refusal(
    endpoint: str, repository: str, revision: str | None, secret: str, status: int, headers: Mapping[str, Any]
) -> Failure:
    page, code = f"{endpoint}/datasets/{repository}", headers.get("X-Error-Code", "")
    said = headers.get("X-Error-Message", "")
    said = one_line(said.replace(secret, "***") if secret else said)
    if status in AGAIN:
        return Failure(f"HTTP {status} from the Hub", again=True, wait_s=asked_wait_s(headers))
    if code == "RevisionNotFound":
        reason = f"no revision {revision!r}; name one of {page}/tree/main, or leave revision= out for the newest"
        return Failure(reason, again=False, error=MissingError)
    if status == 401 and secret and any(words in said.lower() for words in _NO_TOKEN):
        reason = "your login is not accepted: the token is wrong, expired or revoked; run `hf auth login` again"
        return Failure(reason, again=False, error=AccessError)
    if not secret:
        reason = f"you are not logged in; ask for access at {page}, then run `hf auth login` or set HF_TOKEN"
        return Failure(reason, again=False, error=AccessError)
    known = next((step for words, step in _SAID if words in said), "")
    if known or code == "GatedRepo":
        reason = (known or "you have no access; ask for it at {page}").format(page=page, endpoint=endpoint)
        return Failure(reason, again=False, error=AccessError)
    if status in (401, 404):
        reason = (
            "no such dataset, or a private one that your login may not see; check its name (EQUIME_REPO), or name a "
            "folder with data_dir="
        )
        return Failure(reason, again=False, error=MissingError)
    return Failure(
        f"refused (HTTP {status}{f'; the Hub says: {said}' if said else ''})", again=False, error=AccessError
    )
