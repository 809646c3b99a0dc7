"""Publishing to a Hub on loopback with the real client: the order of steps, cuts, troubles, versions, and no token."""

from __future__ import annotations

import gc
import logging
import random
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import DONE, HALF, LOST, LocalHub, serving_hub
from hub_server.state import Seen
from publishing import NAME, OWNER, READER, client, contents, on_main, people, release

from equime_builder.hub.client import Hub
from equime_builder.hub.release import plan_release, publish, read_state
from equime_loader.storage.errors import AccessError, StorageError
from equime_loader.storage.retry import Retries

# The client hands files to its HTTP library in a way that the library calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
CUTS = 30
STEPS = ("/commit/", "/preupload/", "objects/batch", "/storage/", "/merge", "/tag/", "/tree/", "/settings")


@pytest.fixture
def hub(local_hub: LocalHub) -> LocalHub:
    people(local_hub)
    return local_hub


def test_the_order_of_steps(built: Path, hub: LocalHub) -> None:
    said: list[str] = []
    owner = client(hub)
    plan = plan_release(owner, built)
    assert plan.version == "v1.0.0" and hub.asked(method="POST") == []
    done = publish(owner, built, plan, say=said.append)
    repository = hub.repository(NAME)
    # It was private before it was gated, gated before it held anything, and main went to all files in one step.
    first, final = repository.history()[-1].number, repository.resolve("main").number
    assert repository.seen == [
        Seen(first, True, False, False),
        Seen(first, True, "manual", False),
        Seen(first, True, "manual", True),
        Seen(final, True, "manual", True),
    ]
    assert repository.resolve(final).parent == first
    assert on_main(hub) == contents(built)
    assert repository.resolve("v1.0.0").number == final == done.commit
    assert done.sent == len(contents(built)) and done.private
    # The card came last.
    steps = repository.history("refs/pr/1")
    assert "README.md" in steps[0].files and "README.md" not in steps[1].files
    assert set(repository.uploads.values()) == {1}
    assert any("nothing of it is on main" in line for line in said)


def test_it_opens_only_when_told_to(built: Path, hub: LocalHub) -> None:
    release(hub, built)
    assert hub.repository(NAME).private
    hub.requests.clear()
    assert not release(hub, built, public=True).private
    repository = hub.repository(NAME)
    assert not repository.private and repository.gated == "manual"
    assert not hub.asked("/commit/") and not hub.asked("/storage/")


def test_a_second_run_sends_nothing(built: Path, hub: LocalHub) -> None:
    release(hub, built)
    hub.requests.clear()
    done = release(hub, built)
    assert (done.version, done.sent) == ("v1.0.0", 0)
    assert not hub.asked("/commit/") and not hub.asked("/storage/") and not hub.asked("discussions", "POST")


@pytest.mark.parametrize("seed", range(CUTS))
def test_a_cut_upload_goes_on(seed: int, built: Path, hub: LocalHub, whole: int) -> None:
    """The cable is pulled at a random request, before it arrives, in the middle of its body, or after it was done."""
    draw = random.Random(seed)
    after, kind = draw.randrange(whole - 2), draw.choice((LOST, HALF, DONE))
    hub.cut(after, kind)
    with pytest.raises(StorageError, match=rf"^{NAME}: .*\(attempt 4 of 4\)$"):
        release(hub, built)
    hub.mend()
    expected = contents(built)
    if NAME in hub.answers.repositories:
        assert on_main(hub) in ({}, expected)  # nothing half visible
    done = release(hub, built)
    repository = hub.repository(NAME)
    assert on_main(hub) == on_main(hub, "v1.0.0") == expected
    assert repository.resolve("v1.0.0").number == repository.resolve("main").number == done.commit
    assert len([pull for pull in repository.pulls.values() if pull.status == "merged"]) == 1
    assert len(repository.history()) == 2
    # Of files that were there, none was sent again; the client itself repeats what it has no answer to.
    again = {oid for oid, count in repository.uploads.items() if count > 1}
    assert len(again) <= (5 if kind == DONE else 0), "no more than the client's threads"
    assert repository.private and repository.gated == "manual"


@pytest.fixture(scope="session")
def whole(built: Path) -> int:
    """How many requests an upload without a cut makes."""
    patch = pytest.MonkeyPatch()
    values = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "HF_HUB_DISABLE_PROGRESS_BARS": True}
    for name, value in values.items():
        patch.setattr(f"huggingface_hub.constants.{name}", value)
    with serving_hub() as hub:
        people(hub)
        release(hub, built)
        count = len(hub.requests)
    patch.undo()
    return count


@pytest.mark.parametrize("status", ["412", "429", "500", "503"])
@pytest.mark.parametrize("where", STEPS)
def test_troubles_that_pass(status: str, where: str, built: Path, hub: LocalHub) -> None:
    hub.fail(status, where=where, times=2)
    release(hub, built)
    assert on_main(hub) == contents(built)
    assert len(hub.repository(NAME).history()) == 2


def test_a_commit_whose_answer_is_lost_is_not_made_twice(built: Path, hub: LocalHub) -> None:
    hub.fail(DONE, where="/commit/")
    hub.fail(DONE, where="/merge")
    release(hub, built)
    assert on_main(hub) == contents(built)
    titles = [commit.title for commit in hub.repository(NAME).history("refs/pr/1")]
    assert titles == ["EquiME v1.0.0: card", "EquiME v1.0.0", "initial commit"]
    assert len(hub.repository(NAME).history()) == 2


def test_troubles_that_stay_are_one_line(built: Path, hub: LocalHub) -> None:
    hub.fail("503", where="/commit/", times=1000)
    with pytest.raises(StorageError, match=r"^lab/equime: sending .* and 24 more: HTTP 503.*\(attempt 4 of 4\)$"):
        release(hub, built)
    assert on_main(hub) == {}


def test_what_a_cut_run_left_is_closed_by_the_next_release(built: Path, hub: LocalHub) -> None:
    hub.fail("503", where="/merge", times=1000)
    with pytest.raises(StorageError, match="merging: HTTP 503"):
        release(hub, built)
    hub.mend()
    repository = hub.repository(NAME)
    repository.commit("refs/heads/main", repository.files(), "by hand")
    release(hub, built)
    assert {pull.number: pull.status for pull in repository.pulls.values()} == {1: "closed", 2: "merged"}
    assert on_main(hub) == contents(built)


def _wrong(hub: LocalHub) -> str:
    return "hf_wrongSECRET"


def _revoked(hub: LocalHub) -> str:
    hub.revoked.add(OWNER)
    return OWNER


def _reader(hub: LocalHub) -> str:
    return READER


@pytest.mark.parametrize(
    ("login", "said"),
    [
        (_wrong, "the login is not accepted (HTTP 401): the token is wrong, expired or revoked; run `hf auth login`"),
        (_revoked, "the login is not accepted (HTTP 401)"),
        (_reader, "refused (HTTP 403; the Hub says: You don't have the rights to create a dataset under the namespace"),
    ],
)
def test_logins_that_are_not_enough(login: Callable[[LocalHub], str], said: str, built: Path, hub: LocalHub) -> None:
    with pytest.raises(AccessError) as caught:
        release(hub, built, login(hub))
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert NAME not in hub.answers.repositories
    assert len(hub.requests) <= 4  # asking again cannot help


def test_a_token_that_is_revoked_on_the_way(built: Path, hub: LocalHub) -> None:
    def revoke(_: object) -> None:
        hub.revoked.add(OWNER)

    owner = client(hub)
    with pytest.raises(AccessError, match="login is not accepted"):
        publish(owner, built, plan_release(owner, built), progress=revoke)
    assert on_main(hub) == {}
    hub.revoked.clear()
    release(hub, built)
    assert on_main(hub) == contents(built)


def test_a_full_quota(built: Path, hub: LocalHub) -> None:
    hub.answers.quota = 300_000
    with pytest.raises(StorageError, match=r"no room is left \(HTTP 403; .*storage limit reached.*make room or raise"):
        release(hub, built)
    assert on_main(hub) == {}
    hub.answers.quota = 2**40
    release(hub, built)
    assert on_main(hub) == contents(built)


def test_nobody_is_logged_in(hub: LocalHub) -> None:
    with pytest.raises(AccessError, match=r"^not logged in to the Hub: run `hf auth login`, or set HF_TOKEN$"):
        Hub(NAME, endpoint=hub.url)


def test_bytes_that_arrive_otherwise_are_not_merged(
    built: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else writes to the pull request: the comparison finds it, main stays as it is."""
    from hub_server.state import Blob

    owner = client(hub)

    def spoil(file: object) -> None:
        repository = hub.repository(NAME)
        if "README.md" in repository.files("refs/pr/1") or "index.parquet" not in repository.files("refs/pr/1"):
            return
        files = {**repository.files("refs/pr/1"), "index.parquet": Blob(b"something else", True)}
        repository.commit("refs/pr/1", files, "spoiled")

    with pytest.raises(
        StorageError, match=r"index\.parquet differs in size or hash from the folder; nothing was merged"
    ):
        publish(owner, built, plan_release(owner, built), progress=spoil)
    assert on_main(hub) == {}


def test_a_gate_that_stays_open_stops_it(built: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub_server import answers
    from hub_server.answers import Answers
    from hub_server.gate import said

    routes = tuple(
        (method, pattern, (lambda *_, **__: said({})) if route is Answers.settings else route)
        for method, pattern, route in answers.ROUTES
    )
    monkeypatch.setattr(answers, "ROUTES", routes)
    with pytest.raises(StorageError, match=r"gated=False after setting it to 'manual'; nothing more was done"):
        release(hub, built)
    assert not hub.asked("/storage/")


def test_a_repository_of_something_else_is_left_alone(built: Path, hub: LocalHub) -> None:
    from hub_server.state import Blob, Repository

    hub.answers.repositories[NAME] = Repository(NAME, False)
    hub.repository(NAME).commit("refs/heads/main", {"model.bin": Blob(b"mine", False)}, "mine")
    with pytest.raises(StorageError, match=r"holds model\.bin and is no EquiME dataset; name another repository"):
        release(hub, built)
    assert on_main(hub) == {"model.bin": b"mine"}


def test_main_that_changed_after_the_list_was_approved(built: Path, hub: LocalHub) -> None:
    release(hub, built)
    owner = client(hub)
    plan = plan_release(owner, built)
    repository = hub.repository(NAME)
    repository.commit("refs/heads/main", repository.files(), "by hand")
    with pytest.raises(StorageError, match="main has changed since the list was made"):
        publish(owner, built, plan)


@pytest.mark.parametrize("version", ["1.0", "v1", "v1.0.0-rc", "latest"])
def test_versions_of_another_form(version: str, built: Path, hub: LocalHub) -> None:
    with pytest.raises(ValueError, match=r"must read like v1\.0\.0"):
        plan_release(client(hub), built, version=version)


def test_the_state_of_a_repository(built: Path, hub: LocalHub) -> None:
    assert read_state(client(hub)).head is None
    release(hub, built)
    state = read_state(client(hub))
    assert state.private and state.gated == "manual" and set(state.tags) == {"v1.0.0"}
    assert set(state.files) == {*contents(built), ".gitattributes"}


TROUBLES = ("401", "403", "404", "409", "412", "429", "500", "503", LOST, HALF, DONE)


@pytest.mark.parametrize("where", ["", "/commit/", "/storage/", "objects/batch", "/merge", "/settings"])
def test_no_word_ever_holds_the_token(
    where: str, built: Path, hub: LocalHub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every trouble, with logs of everything at debug level."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    for trouble in TROUBLES:
        hub.mend()
        hub.fail(trouble, where=where, times=1000)
        owner = client(hub, retries=Retries(attempts=2, first_delay_s=0))
        try:
            publish(owner, built, plan_release(owner, built), say=said.append)
        except StorageError as error:
            chain: Iterator[BaseException | None] = iter((error, error.__cause__, error.__context__))
            said += [repr(each) + str(vars(each)) for each in chain if each is not None]
            said.append(traceback.format_exc())
        said.append(repr(owner) + repr(vars(owner)["_token"]))
    gc.collect()
    words = "".join(said) + caplog.text + "".join(capfd.readouterr())
    assert len(words) > 1000 and "DEBUG" in caplog.text
    assert OWNER not in words and "SECRET" not in words
