"""Requests for access: rules that sort and never decide, decisions, and the register."""

from __future__ import annotations

import ast
import csv
import inspect
import io
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hub_server import LocalHub
from hub_server.state import Asked, Repository
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import NAME, READER, client, people
from typer.testing import CliRunner

import equime_builder
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
MODULE = "equime_builder.hub.access"
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


DECISIONS = {"accept", "reject", "grant"}
ROUTES = {"accept_access_request", "reject_access_request", "grant_access", "cancel_access_request"}


def deciders(source: str) -> set[str]:
    """Functions (or `<module>`) of a module in which something decides: asks the Hub to, or calls what does so."""
    module = ast.parse(source)
    imports = [each for each in ast.walk(module) if isinstance(each, ast.ImportFrom) and each.module == MODULE]
    called = {name.asname or name.name for each in imports for name in each.names if name.name in DECISIONS}
    own = {each.name for each in module.body if isinstance(each, ast.FunctionDef)} & DECISIONS
    if any(node.attr in ROUTES for node in ast.walk(module) if isinstance(node, ast.Attribute)):
        called |= own
    # By any name of the module, or as text for `getattr`.
    words = ROUTES | {"access." + name for name in DECISIONS}
    found = set()
    for part in module.body:
        name = part.name if isinstance(part, ast.FunctionDef) else "<module>"
        for node in ast.walk(part):
            is_call = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in called
            is_route = isinstance(node, ast.Attribute) and (
                node.attr in ROUTES or f"{ast.unparse(node.value).split('.')[-1]}.{node.attr}" in words
            )
            is_text = isinstance(node, ast.Constant) and node.value in ROUTES
            if is_call or is_route or is_text:
                found.add(name)
    return found


def test_no_rule_can_decide() -> None:
    """Only the commands decide, of users whom a person named; nothing else of the product reaches what they call."""
    package = Path(equime_builder.__file__).parent
    found = {path.relative_to(package).as_posix(): deciders(path.read_text()) for path in package.rglob("*.py")}
    allowed = {"hub/access.py": DECISIONS, "commands/access.py": DECISIONS}
    assert {path: names for path, names in found.items() if names} == allowed
    from equime_builder.commands import access as commands

    for name in DECISIONS:
        parameters = inspect.signature(getattr(commands, name)).parameters
        typed = parameters.get("user") or parameters["users"]
        assert typed.default is inspect.Parameter.empty, "a person names each user"


@pytest.mark.parametrize(
    "source",
    [
        f"from {MODULE} import accept\ndef rule(hub):\n    accept(hub, 'x')",
        f"from {MODULE} import grant as let\ndef rule(hub):\n    for user in 'ab': let(hub, user)",
        f"from {MODULE} import reject\ndef rule(hub):\n    return map(partial(reject, hub), 'ab')",
        "from equime_builder.hub import access\ndef rule(hub):\n    access.accept(hub, 'x')",
        "import equime_builder.hub.access\ndef rule(hub):\n    equime_builder.hub.access.grant(hub, 'x')",
        "def rule(api):\n    api.accept_access_request('a/b', 'x')",
        "def rule(api):\n    getattr(api, 'grant_access')('a/b', 'x')",
        "def accept(hub, user):\n    api.accept_access_request(user)\ndef rule(hub):\n    accept(hub, 'x')",
    ],
)
def test_a_rule_that_decides_is_found(source: str) -> None:
    assert "rule" in deciders(source)


def test_looking_decides_nothing(hub: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from equime_builder.commands import access as commands

    monkeypatch.setattr(commands, "_hub", lambda _: client(hub))
    for command, *rest in (("list",), ("show", "reader"), ("show", "stranger"), ("export", str(tmp_path / "r.csv"))):
        done = CliRunner().invoke(commands.app, [command, NAME, *rest])
        assert done.exit_code == 0, done.output
    assert hub.requests and {each.method for each in hub.requests} == {"GET"}
    assert {each.status for each in hub.repository(NAME).requests.values()} == {"pending"}


def test_a_wrong_name_costs_only_itself(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from equime_builder.commands import access as commands

    monkeypatch.setattr(commands, "_hub", lambda _: client(hub))
    done = CliRunner().invoke(commands.app, ["accept", NAME, "nobody", "reader", "nobody2", "stranger"])
    assert [each.user for each in list_requests(client(hub), "accepted")] == ["reader", "stranger"]
    assert isinstance(done.exception, StorageError) and str(done.exception).count("User not found") == 2


def test_names_of_users_are_compared_as_the_hub_does(hub: LocalHub) -> None:
    assert find_request(client(hub), "Reader").user == "reader"


def test_a_grant_whose_answer_was_lost_is_done(hub: LocalHub) -> None:
    hub.user("guest", "hf_guestSECRET")
    hub.fail("done", where="/grant")
    grant(client(hub), "guest")
    assert find_request(client(hub), "guest").status == "accepted"


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
    grant(owner, "guest")  # who is in stays in
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


def test_the_register_replaces_an_ordinary_file_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="is a folder or a device; name a file for the register"):
            write_register(path, [])
    assert (tmp_path / "pipe").is_fifo()


def test_the_register_is_not_published(built: Path) -> None:
    with pytest.raises(ValueError, match="lies in a dataset folder, which is published"):
        write_register(built / "__manifest__" / "register.csv", [])


SIGNS = st.text(alphabet=st.sampled_from("=+-@＝＋－＠;,|\t\" '\nxy1"), max_size=30) | st.text(max_size=60)


@settings(max_examples=200)
@given(SIGNS, SIGNS)
def test_a_register_is_inert_in_a_spreadsheet(name: str, answer: str) -> None:
    """Whatever a spreadsheet takes for the separator: a semicolon in most of Europe."""
    text = register([Request(name, answer, None, "pending", WHEN, {"Full name": answer, f"={name}": name})])
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            assert not [cell for cell in row if cell.strip().startswith(tuple("=+-@＝＋－＠"))]


def test_a_formula_behind_another_separator(tmp_path: Path) -> None:
    hostile = 'x;=HYPERLINK("http://e.vil","click")'
    text = register([Request("eve", "＝1+1", None, "pending", WHEN, {"Full name": hostile})])
    assert "x;'=HYPERLINK" in text and "'＝1+1" in text
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["Full name"] == hostile.replace("=", "'=")


def test_a_register_is_its_owners_and_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".register.csv.tmp").touch(mode=0o644)
    path = tmp_path / "register.csv"
    write_register(path, [request()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("equime_builder.hub.access.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_register(tmp_path / "second.csv", [request()])
    assert {each.name for each in tmp_path.iterdir()} == {".register.csv.tmp", "register.csv"}


def test_answers_are_one_line_of_printable_letters(hub: LocalHub) -> None:
    hub.repository(NAME).requests["reader"].fields = {"Full name": "\x1b[31mred\x07\n\u202eevil"}
    assert find_request(client(hub), "reader").answers["Full name"] == "[31mred evil"
