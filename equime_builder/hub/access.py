"""Requests for access: listed, pre-sorted by rules, decided by people, and written to a register.

No rule accepts or rejects anybody. Rules say what a person should look at; who decides names each user.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equime_builder.hub.client import Hub
from equime_builder.hub.gate import CHECKBOX, gate_fields
from equime_builder.hub.words import word_list
from equime_loader.storage.errors import AccessError, MissingError, StorageError, one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

STATUSES = ("pending", "accepted", "rejected")
LONGEST_REASON = 200  # letters that the Hub takes
LONGEST_ANSWER = 4000  # letters that are shown of an answer
SHORTEST_DESCRIPTION = 40
# Providers that give an address to everybody. An address of another kind may still be private; a person looks.
FREE_MAIL = word_list("free_mail.txt")
EMAIL_FIELD, POSITION_FIELD, DESCRIPTION_FIELD = "Institutional e-mail", "Position", "Research description"
SUPERVISOR_FIELD = 'Supervisor (students; others write "none")'
STUDENTS = ("Doctoral student", "Student")
NOBODY = frozenset({"", "none", "no", "n/a", "na", "-", "--", "."})
TICKED = frozenset({"true", "on", "yes", "1", "checked"})
ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# A spreadsheet takes a cell that begins with such a sign for a formula, and another separator makes other cells.
FORMULA = re.compile(r"(^|[;,|\t\"])(\s*)(?=[=+\-@＝＋－＠])")
# What the Hub says where a question was asked before.
_DONE_BEFORE = ("No access request found", "already has access")
COLUMNS = ("user", "full name of the account", "e-mail of the account", "status", "asked at", "look at")


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody's request. `answers` by the form's label; `email` of the account, None where it is not shared."""

    user: str
    fullname: str
    email: str | None
    status: str
    asked_at: datetime
    answers: Mapping[str, str] = field(default_factory=dict)


def list_requests(hub: Hub, status: str) -> list[Request]:
    """Requests of one status, the oldest first.

    Raises:
        ValueError: an unknown status.
        StorageError: the Hub does not answer, or refuses.
    """
    if status not in STATUSES:
        raise ValueError(f"status={status!r} must be one of {', '.join(STATUSES)}")

    def listed(api: HfApi) -> list[Any]:
        # The client asks for lists with a patience of its own, half a minute or more per attempt; for this it has none.
        api.dataset_info(hub.name, expand=["gated"], timeout=hub.retries.timeout_s)
        return list(getattr(api, f"list_{status}_access_requests")(hub.name, repo_type="dataset"))

    found = hub.ask(f"listing {status} requests", listed)
    return sorted(map(_request, found), key=lambda request: (request.asked_at, request.user))


def _request(found: Any) -> Request:
    answers = {
        one_line(str(label)): one_line(str(value), LONGEST_ANSWER) for label, value in (found.fields or {}).items()
    }
    name = one_line(found.fullname or "")
    return Request(str(found.username or ""), name, found.email, found.status, found.timestamp, answers)


def all_requests(hub: Hub) -> list[Request]:
    """Requests of every status."""
    return [request for status in STATUSES for request in list_requests(hub, status)]


def find_request(hub: Hub, user: str) -> Request:
    """The request of a user.

    Raises:
        MissingError: there is none.
    """
    for request in all_requests(hub):
        if request.user.lower() == user.lower():  # as the Hub compares names
            return request
    raise MissingError(f"{hub.name}: {user} has not asked for access; see `equime access list {hub.name}`")


def look_at(request: Request) -> list[str]:
    """What a person should look at before deciding; empty where the form is complete and nothing stands out."""
    kinds = gate_fields()
    answers = {label: request.answers.get(label, "").strip() for label in kinds}
    found = [f"no answer to {label!r}" for label, kind in kinds.items() if kind != CHECKBOX and not answers[label]]
    found += [
        f"not agreed to {label!r}"
        for label, kind in kinds.items()
        if kind == CHECKBOX and answers[label].lower() not in TICKED
    ]
    found += _of_address(answers.get(EMAIL_FIELD, ""), request.email)
    if answers.get(POSITION_FIELD) in STUDENTS and answers.get(SUPERVISOR_FIELD, "").lower() in NOBODY:
        found.append("a student without a supervisor")
    if 0 < len(answers.get(DESCRIPTION_FIELD, "")) < SHORTEST_DESCRIPTION:
        found.append(f"a research description of fewer than {SHORTEST_DESCRIPTION} letters")
    return found


def _of_address(address: str, account: str | None) -> list[str]:
    if not address:
        return []
    if ADDRESS.fullmatch(address) is None:
        return [f"{address!r} is no e-mail address"]
    domain = _domain(address)
    if domain in FREE_MAIL:
        return [f"{domain} gives addresses to everybody"]
    if account and _domain(account) not in (domain, *FREE_MAIL):
        return [f"the account's address is of {_domain(account)}, the form's of {domain}"]
    return []


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def pre_sorted(requests: Iterable[Request]) -> list[tuple[Request, list[str]]]:
    """Requests with what to look at: the complete ones first, then by how much there is to look at."""
    return sorted(((request, look_at(request)) for request in requests), key=lambda row: len(row[1]))


def accept(hub: Hub, user: str) -> None:
    """Let somebody in who has asked.

    Raises:
        StorageError: nobody of this name has asked, or the Hub refuses.
    """
    _decide(hub, user, "accepted", lambda api: api.accept_access_request(hub.name, user, repo_type="dataset"))


def reject(hub: Hub, user: str, reason: str) -> None:
    """Reject a request, or shut somebody out again; the reason is shown to the user.

    Raises:
        ValueError: no reason, or one that is too long for the Hub.
        StorageError: nobody of this name has asked, or the Hub refuses.
    """
    reason = one_line(reason, 10_000)
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise ValueError(f"reason has {len(reason)} letters, it must have 1..{LONGEST_REASON}")

    def rejected(api: HfApi) -> None:
        api.reject_access_request(hub.name, user, rejection_reason=reason, repo_type="dataset")

    _decide(hub, user, "rejected", rejected)


def grant(hub: Hub, user: str) -> None:
    """Let somebody in who has not asked; nothing changes for one who is in already.

    Raises:
        StorageError: no such user, or the Hub refuses.
    """
    _decide(hub, user, "accepted", lambda api: api.grant_access(hub.name, user, repo_type="dataset"))


def _decide(hub: Hub, user: str, status: str, question: Callable[[HfApi], None]) -> None:
    """Ask, and where the answer says that nothing is to be done, see whether it was decided so before.

    An answer may have been lost on its way, and the question asked again.
    """
    try:
        hub.ask(f"{status} {user}", question)
    except StorageError as error:
        if not any(words in str(error) for words in _DONE_BEFORE):
            raise
    else:
        return
    if (found := find_request(hub, user).status) != status:
        raise StorageError(f"{hub.name}: {user} cannot be {status} from {found}")


def each_of(users: Sequence[str], decide: Callable[[str], None]) -> None:
    """Decide about each of the users that were named, whatever becomes of the others.

    Raises:
        StorageError: some of it was refused, all in one line; at once where the login is not accepted.
    """
    refused: list[str] = []
    for user in users:
        try:
            decide(user)
        except AccessError:
            raise
        except StorageError as error:
            refused.append(str(error))
    if refused:
        raise StorageError(" | ".join(refused))


def register(requests: Sequence[Request]) -> str:
    """CSV for the institution: one row per request, cells that no spreadsheet takes for a formula."""
    labels = list(dict.fromkeys([*gate_fields(), *(label for each in requests for label in each.answers)]))
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([*COLUMNS, *map(_inert, labels)])
    for each in requests:
        when = each.asked_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = (each.user, each.fullname, each.email or "", each.status, when, "; ".join(look_at(each)))
        writer.writerow(map(_inert, (*about, *(each.answers.get(label, "") for label in labels))))
    return target.getvalue()


def _inert(cell: str) -> str:
    return FORMULA.sub(r"\1\2'", one_line(cell, LONGEST_ANSWER))


def write_register(path: Path, requests: Sequence[Request]) -> None:
    """Write the register so that only its owner can read it: it holds names and addresses.

    Raises:
        ValueError: the path is no ordinary file, or lies in a dataset folder, which is published.
    """
    from equime_builder import manifest

    path = path.resolve()
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder or a device; name a file for the register")
    if any((folder / manifest.HEADER).exists() for folder in path.parents):
        raise ValueError(f"{path} lies in a dataset folder, which is published; write the register elsewhere")
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its owner's only
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(register(requests))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
