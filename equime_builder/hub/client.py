"""The Hub as its owner asks it: one repository, patient with a Hub in trouble, and with a token that nobody sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from equime_builder.documents.publication import check_repository
from equime_builder.hub.files import Remote
from equime_builder.version import VERSION
from equime_loader.storage.errors import AccessError, Failure, MissingError, one_line
from equime_loader.storage.retry import AGAIN, Retries, asked_wait_s, persist
from equime_loader.storage.source import Token

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_Value = TypeVar("_Value")

MAIN = "main"
PATIENT = Retries(attempts=12, first_delay_s=1.0, longest_delay_s=300.0)
# "A commit has happened since": two commits met. What lies there is read again before the next attempt.
CONFLICT = 412
# What Xet's client makes of an answer; it says nothing of it but in words, as of a network without an answer.
XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})")
# Answers of Xet that the next attempt explains, for it asks the Hub first: `Hub.may_send`.
XET_RIGHTS = frozenset({401, 402, 403})
# Libraries whose errors of connections pass, whichever of them the Hub's client is made with.
NETWORK = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "hf_xet"})


class Hub:
    """A dataset repository.

    Args:
        name: OWNER/NAME.
        token: else the one of ``HF_TOKEN`` or of ``hf auth login``.
        endpoint: of the Hub, else ``HF_ENDPOINT`` or the public one.

    Raises:
        ValueError: another form of name.
        AccessError: nobody is logged in.
    """

    def __init__(
        self, name: str, *, token: str | None = None, endpoint: str | None = None, retries: Retries = PATIENT
    ) -> None:
        from huggingface_hub import HfApi, constants, get_token

        check_repository(name)
        secret = token or get_token()
        if not secret:
            raise AccessError("not logged in to the Hub: run `hf auth login`, or set HF_TOKEN")
        self.name, self.retries = name, retries
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._token = Token(secret)
        self._api = HfApi(
            endpoint=self.endpoint, token=self._token.secret, library_name="equime", library_version=VERSION
        )

    def __repr__(self) -> str:
        return f"Hub({self.name!r})"

    @property
    def page(self) -> str:
        return f"{self.endpoint}/datasets/{self.name}"

    def ask(self, doing: str, question: Callable[[HfApi], _Value]) -> _Value:
        """The answer to a question that may be asked again.

        Args:
            doing: what for, for messages.

        Raises:
            StorageError: no answer; one line with the next step.
        """
        return self.persist(doing, lambda: self.attempt(question))

    def persist(self, doing: str, attempt: Callable[[], _Value | Failure]) -> _Value:
        """Attempt until it is done, with waits that grow.

        Raises:
            StorageError: the last failure, in one line.
        """
        return persist(attempt, self.retries, f"{self.name}: {doing}")

    def attempt(self, question: Callable[[HfApi], _Value]) -> _Value | Failure:
        """One attempt. No error leaves it: errors of the Hub's client hold the request, and with it the token."""
        from huggingface_hub.errors import OfflineModeIsEnabled

        try:
            return question(self._api)
        except OfflineModeIsEnabled:
            return Failure("HF_HUB_OFFLINE is set; unset it", again=False)
        except Exception as error:  # of the Hub's HTTP library, which changes with its version
            return self._failure(error)

    def _failure(self, error: BaseException) -> Failure:
        cause: BaseException | None = error
        while cause is not None:  # the client wraps what went wrong with a file
            error = cause
            response = getattr(cause, "response", None)
            if response is not None and hasattr(response, "status_code"):
                return self._refusal(response.status_code, response.headers, getattr(cause, "server_message", None))
            if found := XET_STATUS.search(str(cause)):
                return _refused_by_xet(int(found[1]))
            if type(cause).__module__.split(".")[0] in NETWORK or isinstance(cause, ConnectionError | TimeoutError):
                return Failure(f"{type(cause).__name__}: the Hub cannot be reached", again=True)
            cause = cause.__cause__
        return Failure(f"{type(error).__name__}: {self._words(str(error))}", again=False)

    def _refusal(self, status: int, headers: Mapping[str, str], said: str | None) -> Failure:
        code = headers.get("X-Error-Code", "")
        words = self._words(headers.get("X-Error-Message") or said or "")
        told = f"; the Hub says: {words}" if words else ""
        if status in AGAIN or status == CONFLICT:
            return Failure(f"HTTP {status}{told}", again=True, wait_s=asked_wait_s(headers))
        if status == 402 or "storage limit" in words.lower() or "quota" in words.lower():
            reason = f"no room is left (HTTP {status}{told}); make room or raise the limit, then run the same command"
            return Failure(reason, again=False)
        if code in ("RevisionNotFound", "EntryNotFound"):
            return Failure(f"not found (HTTP {status}{told})", again=False, error=MissingError)
        if code == "RepoNotFound":
            reason = f"no such dataset, or one that this login may not see (HTTP {status}); ask its owners"
            return Failure(reason, again=False, error=MissingError)
        if status == 401:
            reason = (
                "the login is not accepted (HTTP 401): the token is wrong, expired or revoked; run `hf auth login`, or "
                "set HF_TOKEN to a token that may write"
            )
            return Failure(reason, again=False, error=AccessError)
        if status == 403:
            owner = self.name.split("/", maxsplit=1)[0]
            reason = f"refused (HTTP 403{told}); use a token that may write, of {owner} or of a member of it"
            return Failure(reason, again=False, error=AccessError)
        return Failure(f"HTTP {status}{told}", again=False)

    def _words(self, text: str) -> str:
        return one_line(text.replace(self._token.secret, "***"))

    def user(self) -> str:
        """The name of who is logged in.

        Raises:
            AccessError: the login is not accepted.
        """
        return str(self.ask("checking the login", lambda api: api.whoami())["name"])

    def may_send(self, revision: str) -> bool | Failure:
        """Ask whether this login may send large files to a revision; one attempt.

        The client sends them by Xet, whose errors say that the Hub cannot be reached, whatever is the matter with a
        login, a right or a quota. So it is asked first what Xet will ask for: a token to write with.
        """
        from huggingface_hub import constants, get_session, hf_raise_for_status

        if constants.HF_HUB_DISABLE_XET or find_spec("hf_xet") is None:
            return True  # the other way is LFS, whose errors say what they are
        url = f"{self.endpoint}/api/datasets/{self.name}/xet-write-token/{quote(revision, safe='')}"

        def asked(_: HfApi) -> bool:
            response = get_session().get(url, headers={"Authorization": f"Bearer {self._token.secret}"})
            if response.status_code == 404 and "X-Error-Code" not in response.headers:
                return False
            hf_raise_for_status(response)
            return True

        answer = self.attempt(asked)
        if answer is False:
            return Failure("this Hub takes no files by Xet; set HF_HUB_DISABLE_XET=1, and run again", again=False)
        return answer

    def tree(self, revision: str) -> dict[str, Remote] | Failure:
        """Every file at a revision, by path; one attempt."""

        def listed(api: HfApi) -> dict[str, Remote]:
            entries = api.list_repo_tree(self.name, repo_type="dataset", revision=revision, recursive=True)
            return {entry.path: _remote(entry) for entry in entries if hasattr(entry, "blob_id")}

        return self.attempt(listed)


def _refused_by_xet(status: int) -> Failure:
    if status in AGAIN or status in XET_RIGHTS or status == CONFLICT:
        return Failure(f"HTTP {status} from the Hub's storage", again=True)
    from huggingface_hub import constants

    reason = (
        f"the Hub's storage refuses it (HTTP {status}), perhaps because files are erased there that Xet has sent "
        f"before; delete {constants.HF_XET_CACHE}, where Xet remembers that, and run the same command"
    )
    return Failure(reason, again=False)


def _remote(entry: Any) -> Remote:
    return Remote(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
