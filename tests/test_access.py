"""Requests for access: rules that sort and never decide, decisions, and the register."""

from __future__ import annotations

import csv
import io
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hub_server import LocalHub
from hub_server.state import Asked, Repository
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import NAME, READER, client, people

from equime_builder.hub.access import (
    DESCRIPTION_FIELD,
    EMAIL_FIELD,
    FREE_MAIL,
    POSITION_FIELD,
    SUPERVISOR_FIELD,
    Request,
    accept,
    all_requests,
    find_request,
    grant,
    list_requests,
    look_at,
    pre_sorted,
    register,
    reject,
    write_register,
)
from equime_builder.hub.gate import CHECKBOX, gate_fields, gate_metadata
from equime_loader.storage.errors import AccessError, MissingError, StorageError

COMPLETE = {
    label: "true" if kind == CHECKBOX else f"an answer to {label}, long enough to be one"
    for label, kind in gate_fields().items()
} | {EMAIL_FIELD: "rita@university.edu", POSITION_FIELD: "Professor or faculty", SUPERVISOR_FIELD: "none"}
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def request(email: str | None = "rita@university.edu", **answers: str) -> Request:
    return Request("reader", "Rita Reader", email, "pending", WHEN, {**COMPLETE, **answers})


@pytest.fixture
def hub(local_hub: LocalHub) -> LocalHub:
    people(local_hub)
    repository = Repository(NAME, False, "manual")
    for name, answers in (("reader", COMPLETE), ("stranger", {"Full name": "S"})):
        repository.requests[name] = Asked(
            name, "pending", answers, email=f"{name}@x.org", time="2026-01-02T03:04:05.000Z"
        )
    local_hub.answers.repositories[NAME] = repository
    return local_hub


def test_the_form_is_what_the_hub_takes() -> None:
    metadata = gate_metadata()
    keys = ("heading", "prompt", "description", "button_content", "fields")
    assert set(metadata) == {f"extra_gated_{key}" for key in keys}
    for kind in metadata["extra_gated_fields"].values():
        assert kind in ("text", "checkbox") or (kind["type"] == "select" and len(kind["options"]) > 1)
    labels = " ".join(gate_fields()).lower()
    for wanted in ("name", "institution", "institutional e-mail", "position", "supervisor", "research description",
                   "intended use", "non-commercial", "re-identify", "cite"):  # fmt: skip
        assert wanted in labels
    assert {EMAIL_FIELD, POSITION_FIELD, SUPERVISOR_FIELD, DESCRIPTION_FIELD} <= set(gate_fields())


def test_the_card_carries_the_form(built: Path) -> None:
    from huggingface_hub import DatasetCardData
    from huggingface_hub.repocard import metadata_load

    head = metadata_load(built / "README.md")
    assert head is not None
    assert {name: head[name] for name in gate_metadata()} == gate_metadata()
    assert DatasetCardData(**head).to_dict()["extra_gated_fields"] == gate_metadata()["extra_gated_fields"]


def test_a_complete_request_has_nothing_to_look_at() -> None:
    assert look_at(request()) == []
    assert look_at(request(email=None)) == []
    assert look_at(request(email="rita@gmail.com")) == []


@pytest.mark.parametrize(
    ("answers", "note"),
    [
        ({EMAIL_FIELD: "rita@gmail.com"}, "gmail.com gives addresses to everybody"),
        ({EMAIL_FIELD: "rita@QQ.com"}, "qq.com gives addresses to everybody"),
        ({EMAIL_FIELD: "ask me"}, "'ask me' is no e-mail address"),
        ({EMAIL_FIELD: "rita@other.ac.uk"}, "the account's address is of university.edu, the form's of other.ac.uk"),
        ({EMAIL_FIELD: " "}, f"no answer to {EMAIL_FIELD!r}"),
        ({POSITION_FIELD: "Student"}, "a student without a supervisor"),
        ({POSITION_FIELD: "Doctoral student", SUPERVISOR_FIELD: "N/A"}, "a student without a supervisor"),
        ({DESCRIPTION_FIELD: "research"}, "a research description of fewer than 40 letters"),
        ({"I will cite the paper": "false"}, "not agreed to 'I will cite the paper'"),
    ],
)
def test_what_a_person_should_look_at(answers: dict[str, str], note: str) -> None:
    assert look_at(request(**answers)) == [note]


def test_an_empty_form_lacks_every_field() -> None:
    assert len(look_at(Request("x", "", None, "pending", WHEN))) == len(gate_fields())
    assert all("." in domain and domain == domain.lower() for domain in FREE_MAIL)


def test_requests_are_sorted_and_nothing_is_decided(hub: LocalHub) -> None:
    rows = pre_sorted(list_requests(client(hub), "pending"))
    assert [row.user for row, _ in rows] == ["reader", "stranger"]
    assert len(rows[1][1]) > len(rows[0][1])
    assert not hub.asked(method="POST")
    assert {each.status for each in hub.repository(NAME).requests.values()} == {"pending"}


def test_no_rule_can_decide() -> None:
    """What decides takes a user's name from a person; nothing in the module calls it."""
    import ast
    import inspect

    from equime_builder.hub import access

    calls = [node.func for node in ast.walk(ast.parse(inspect.getsource(access))) if isinstance(node, ast.Call)]
    assert not {"accept", "reject", "grant"} & {call.id for call in calls if isinstance(call, ast.Name)}


def test_accept_reject_and_grant(hub: LocalHub) -> None:
    owner, repository = client(hub), hub.repository(NAME)
    accept(owner, "reader")
    assert [each.user for each in list_requests(owner, "accepted")] == ["reader"]
    accept(owner, "reader")  # a second time, or after an answer that was lost
    reject(owner, "stranger", "we cannot tell who you are")
    assert repository.requests["stranger"].reason == "we cannot tell who you are"
    assert find_request(owner, "stranger").status == "rejected"
    hub.user("guest", "hf_guestSECRET")
    grant(owner, "guest")
    assert find_request(owner, "guest").email is None
    assert len(all_requests(owner)) == 3
    with pytest.raises(StorageError, match="already has access"):
        grant(owner, "guest")
    with pytest.raises(StorageError, match="User not found"):
        accept(owner, "nobody")
    hub.user("idle", "hf_idleSECRET")
    with pytest.raises(MissingError, match=r"idle has not asked for access; see `equime access list lab/equime`"):
        accept(owner, "idle")


@pytest.mark.parametrize("reason", ["", " \n", "x" * 201])
def test_a_reason_is_given_and_short(reason: str, hub: LocalHub) -> None:
    with pytest.raises(ValueError, match=r"letters, it must have 1\.\.200"):
        reject(client(hub), "reader", reason)


def test_only_owners_see_requests(hub: LocalHub) -> None:
    with pytest.raises(AccessError, match=r"refused \(HTTP 403; the Hub says: You have read access but not the"):
        list_requests(client(hub, READER), "pending")
    with pytest.raises(ValueError, match="must be one of pending, accepted, rejected"):
        list_requests(client(hub), "open")


def test_troubles_pass(hub: LocalHub) -> None:
    hub.fail("503", where="/user-access-request/", times=2)
    hub.fail("done", where="/handle")
    accept(client(hub), "reader")
    assert hub.repository(NAME).requests["reader"].status == "accepted"


def test_the_register_holds_every_answer(tmp_path: Path, hub: LocalHub) -> None:
    path = tmp_path / "register.csv"
    write_register(path, all_requests(client(hub)))
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["user"] for row in rows] == ["reader", "stranger"]
    assert rows[0]["Institution"] == COMPLETE["Institution"] and rows[0]["asked at"] == "2026-01-02T03:04:05Z"
    assert "no answer to 'Institution'" in rows[1]["look at"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_register_is_not_published(built: Path) -> None:
    with pytest.raises(ValueError, match="lies in a dataset folder, which is published"):
        write_register(built / "__manifest__" / "register.csv", [])


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60), st.text(max_size=60))
def test_a_register_is_inert_in_a_spreadsheet(name: str, answer: str) -> None:
    text = register([Request(name, answer, None, "pending", WHEN, {"Full name": answer, f"={name}": name})])
    for row in csv.reader(io.StringIO(text)):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)


def test_answers_are_one_line_of_printable_letters(hub: LocalHub) -> None:
    hub.repository(NAME).requests["reader"].fields = {"Full name": "\x1b[31mred\x07\n\u202eevil"}
    assert find_request(client(hub), "reader").answers["Full name"] == "[31mred evil"
