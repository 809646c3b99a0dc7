"""`equime publish` and `equime access` as commands, in processes that know the Hub by `HF_ENDPOINT` and in this one."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_server import LocalHub
from hub_server.state import Asked, Blob, Repository
from publishing import NAME, OWNER, contents, on_main, people

from equime_builder import manifest
from equime_builder.cli import main
from equime_builder.commands.shared import notes
from equime_builder.documents.publication import PLACEHOLDER, Publication, read_publication
from equime_builder.finish import INDEX, rewrite_texts
from equime_builder.verify import verify
from equime_loader.storage.retry import Retries

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
# Everything that any library logs is written, and nothing of it may be the token.
LOUD = "import logging; logging.basicConfig(level=logging.DEBUG); from equime_builder.cli import main; main()"


@pytest.fixture
def hub(local_hub: LocalHub) -> LocalHub:
    people(local_hub)
    return local_hub


Done = subprocess.CompletedProcess[str]


def process(hub: LocalHub, *arguments: str | Path, token: str | None = OWNER) -> Done:
    """The command in a process of its own."""
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_DEBUG": "1",
        "HF_HOME": "/nonexistent",
        "COLUMNS": "200",
    }
    own |= {"no_proxy": "127.0.0.1,localhost"} | ({"HF_TOKEN": token} if token else {})
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-c", LOUD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**kept, **own})
    return checked(done)


def equime(hub: LocalHub, *arguments: str | Path, token: str | None = OWNER) -> Done:
    """The command in this process, which has imported what it needs."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    loud = logging.StreamHandler(err)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        patch.setattr("huggingface_hub.get_token", lambda: token)
        patch.setattr(notes, "_width", 200)
        patch.setattr(sys, "argv", ["equime", *map(str, arguments)])
        patch.setattr(logging.root, "level", logging.DEBUG)
        logging.root.addHandler(loud)
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            logging.root.removeHandler(loud)
    return checked(Done(sys.argv, code, out.getvalue(), err.getvalue()))


def checked(done: Done) -> Done:
    assert "SECRET" not in done.stdout + done.stderr
    assert "equime_builder/" not in done.stderr, "a traceback of ours"
    return done


def error_of(done: Done) -> str:
    """The one line of error, among all that libraries log."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture
def built(built: Path, copy_of: Callable[[Path], Path]) -> Path:
    """A folder of one's own: its card names where it is published."""
    return copy_of(built)


def test_a_curator_approves_a_list_which_is_then_published(built: Path, hub: LocalHub) -> None:
    asked = process(hub, "publish", built, NAME, "--dry-run")
    assert asked.returncode == 0, asked.stderr[-2000:]
    assert NAME not in hub.answers.repositories and not hub.asked(method="POST")
    lines = asked.stdout.splitlines()
    assert lines[0].startswith(f"release v1.0.0: {len(contents(built))} files")
    listed = {line.split()[-1] for line in lines if line.startswith("add ")}
    assert listed == set(contents(built))
    assert any(line.startswith("words in gender_judged_by: requested of the face generator") for line in lines)
    assert any(line.startswith("will be visible to everybody else: nothing") for line in lines)
    assert {"subjects: 6", "clips: 12"} <= set(lines)
    assert any(line.startswith("checked: every promise of the folder holds; no rejected clip") for line in lines)
    number = lines[1].split()[1].rstrip(":")

    for dry in ([], ["--dry-run"]):
        refused = equime(hub, "publish", built, NAME, "--approved", "0" * 16, *dry)
        assert refused.returncode == 1 and f"the list is {number} now" in error_of(refused)
    assert NAME not in hub.answers.repositories
    done = process(hub, "publish", built, NAME, "--approved", number, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout)
    assert facts["version"] == "v1.0.0" and facts["private"] and facts["gated"] == "manual"
    assert facts["commit"] == hub.repository(NAME).resolve("main").number
    assert on_main(hub) == contents(built)


def test_the_card_names_the_repository_before_it_is_approved(built: Path, hub: LocalHub) -> None:
    asked = equime(hub, "publish", built, NAME, "--dry-run")
    assert f"its card names {NAME} from now on" in asked.stderr and verify(built) == []
    text = (built / "README.md").read_text(encoding="utf-8")
    assert f'load_dataset("{NAME}"' in text and PLACEHOLDER not in text
    again = equime(hub, "publish", built, NAME, "--dry-run")
    assert again.stdout == asked.stdout and "from now on" not in again.stderr
    rewrite_texts(built, Publication(NAME, "2025-01-01"))
    assert equime(hub, "publish", built, "curator/equime", "--dry-run").returncode == 0
    assert NAME not in (built / "README.md").read_text(encoding="utf-8")
    assert read_publication(built) == Publication("curator/equime", "2025-01-01"), "the day of the first version stays"


def test_renditions_stay_here(built: Path, hub: LocalHub) -> None:
    before = equime(hub, "publish", built, NAME, "--dry-run").stdout
    (built / "renditions/112").mkdir(parents=True)
    after = equime(hub, "publish", built, NAME, "--dry-run").stdout.splitlines()
    assert [line for line in after if line not in before] == [
        "its renditions stay here: whoever loads the clips makes them again"
    ]


def test_what_is_refused_is_not_named_before(built: Path, hub: LocalHub) -> None:
    header = json.loads((built / manifest.HEADER).read_text(encoding="utf-8"))
    (built / manifest.HEADER).write_text(json.dumps({**header, "corpus": "CASME II"}), encoding="utf-8")
    before = contents(built)
    done = equime(hub, "publish", built, NAME, "--dry-run")
    assert "was imported from CASME II" in error_of(done) and contents(built) == before


def test_what_was_approved_is_not_something_more(built: Path, hub: LocalHub) -> None:
    number = equime(hub, "publish", built, NAME, "--dry-run").stdout.splitlines()[1].split()[1].rstrip(":")
    for more in (["--public"], ["--erase-history"], ["--version", "v2.0.0"]):
        refused = equime(hub, "publish", built, NAME, "--approved", number, *more)
        assert refused.returncode == 1 and f"--approved {number}: the list is" in error_of(refused)
    refused = equime(hub, "publish", built, "curator/equime", "--approved", number)
    assert refused.returncode == 1 and not hub.answers.repositories


def test_what_will_be_visible_is_printed_before_it_is(built: Path, hub: LocalHub) -> None:
    done = equime(hub, "publish", built, NAME, "--public")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("will be visible to everybody: README.md, LICENSE: their text; paths, sizes and dates")
    assert lines[1].startswith("will be visible to who was let in: the content of all files")
    assert not hub.repository(NAME).private and hub.repository(NAME).gated == "manual"
    assert "manual" in lines[-1]
    private = [seen.path for seen in hub.asked("/settings", "PUT")]
    assert len(private) == 2  # the gate, and at the end the page


def test_it_is_printed_beside_a_json_object_too(built: Path, hub: LocalHub) -> None:
    done = equime(hub, "publish", built, NAME, "--public", "--erase-history", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout)
    assert (facts["private"], facts["gated"], facts["left"]) == (False, "manual", ["refs/pr/1"])
    lines = [line for line in done.stderr.splitlines() if line.startswith("will be ")]
    assert lines[0].startswith("will be visible to everybody: README.md, LICENSE: their text; paths, sizes and dates")
    assert lines[2].startswith(
        "will be deleted for good: history of main, all tags and branches beside v1.0.0 and main"
    )


def test_a_dry_run_needs_no_login(built: Path, hub: LocalHub) -> None:
    done = equime(hub, "publish", built, NAME, "--dry-run", token=None)
    assert done.returncode == 0
    assert "not compared with the Hub (not logged in to the Hub: run `hf auth login`" in done.stdout
    # What is not known is not said, and what nobody compared nobody can approve.
    assert "will be visible to everybody: not known, the Hub was not asked" in done.stdout
    assert "there is no number to approve" in done.stdout and "--approved" not in done.stdout
    facts = json.loads(equime(hub, "publish", built, NAME, "--dry-run", "--json", token="hf_wrongSECRET").stdout)
    assert not facts["compared_with_the_hub"] and "the login is not accepted" in facts["why"]


def test_a_dry_run_says_what_is_deleted_for_good(built: Path, hub: LocalHub) -> None:
    assert equime(hub, "publish", built, NAME).returncode == 0
    repository = hub.repository(NAME)
    files = {**repository.files(), "paper.pdf": Blob(b"x", False)}
    repository.commit("refs/heads/main", files, "by hand")
    told = equime(hub, "publish", built, NAME, "--dry-run", "--erase-history").stdout
    assert "will be deleted for good: history of main, all tags and branches beside v1.1.0 and main (v1.0.0)" in told
    assert [line.split() for line in told.splitlines() if line.startswith("delete ")] == [["delete", "0", "paper.pdf"]]
    assert "paper.pdf" in on_main(hub)


def test_a_folder_is_replaced_only_when_all_else_is_decided(built: Path, hub: LocalHub) -> None:
    """A wrong number, no login, a wrong name, a public page: the folder is as it was, and nothing lies beside it."""
    root = built
    before = contents(root)
    gone = min(pq.read_table(root / INDEX)["subject"].to_pylist())
    hub.answers.repositories["lab/public"] = Repository("lab/public", False)
    hub.repository("lab/public").commit("refs/heads/main", {"__manifest__/plan.json": Blob(b"{}", False)}, "ours")
    for name, more, token, said in (
        (NAME, ["--approved", "0" * 16], OWNER, "the list is"),
        (NAME, [], None, "not logged in to the Hub"),
        (NAME, [], "hf_wrongSECRET", "the login is not accepted"),
        ("equime", [], OWNER, "must read OWNER/NAME"),
        ("lab/public", [], OWNER, "is public, and so is every step of a release"),
        (NAME, ["--version", "one"], OWNER, "must read like v1.0.0"),
        ("lab/x", ["--version", "", "--dry-run"], OWNER, "must read like v1.0.0"),
        ("lab/x--y", ["--dry-run"], OWNER, "must read OWNER/NAME"),
    ):
        done = equime(hub, "publish", root, name, "--remove-subject", gone, *more, token=token)
        assert done.returncode == 1 and said in error_of(done)
        assert contents(root) == before and [path.name for path in root.parent.iterdir()] == [root.name]
    told = equime(hub, "publish", root, NAME, "--remove-subject", gone, "--dry-run").stdout
    number = told.splitlines()[1].split()[1].rstrip(":")
    done = equime(hub, "publish", root, NAME, "--remove-subject", gone, "--approved", number)
    assert done.returncode == 0 and on_main(hub) == contents(root) != before


def test_an_edition_that_was_approved_is_the_same_on_another_day(built: Path, hub: LocalHub) -> None:
    gone = min(pq.read_table(built / INDEX)["subject"].to_pylist())
    command = ("publish", built, NAME, "--remove-subject", gone)
    assert equime(hub, *command, "--dry-run").returncode == 0
    found = read_publication(built)
    assert found is not None and found.repository == NAME
    rewrite_texts(built, replace(found, published="2026-01-01"))
    number = equime(hub, *command, "--dry-run").stdout.splitlines()[1].split()[1].rstrip(":")
    assert equime(hub, *command, "--approved", number).returncode == 0
    assert read_publication(built) == replace(found, published="2026-01-01") and on_main(hub) == contents(built)


def test_a_subject_is_withdrawn_by_one_command(built: Path, hub: LocalHub) -> None:
    root = built
    assert equime(hub, "publish", root, NAME).returncode == 0
    gone = min(pq.read_table(root / INDEX)["subject"].to_pylist())
    before = contents(root)
    tried = equime(hub, "publish", root, NAME, "--remove-subject", gone, "--dry-run")
    assert tried.returncode == 0 and "changed: withdrawn: 1 subject, 2 clips" in tried.stdout
    assert contents(root) == before and [path.name for path in root.parent.iterdir()] == [root.name]
    done = equime(hub, "publish", root, NAME, "--remove-subject", gone, "--erase-history")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"what it was before lies in {root}-before: delete it" in done.stderr
    assert "a page of `equime site` shows what has left until it is made and uploaded anew" in done.stderr
    assert gone not in pq.read_table(root / INDEX)["subject"].to_pylist()
    assert on_main(hub) == contents(root)
    tags = [name for name in hub.repository(NAME).references if "tags" in name]
    assert tags == ["refs/tags/v1.1.0"]
    again = equime(hub, "publish", root, NAME, "--remove-subject", gone)
    assert again.returncode == 0 and "v1.1.0, 0 of" in again.stdout


@pytest.mark.parametrize("named", [".", "link"])
def test_the_place_of_the_folder_before_is_the_real_one(
    named: str, built: Path, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the folder is named: from inside, or by a link that lies elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(built)
    gone = min(pq.read_table(built / INDEX)["subject"].to_pylist())
    monkeypatch.chdir(built if named == "." else elsewhere)
    done = equime(hub, "publish", named, NAME, "--remove-subject", gone)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"what it was before lies in {built}-before: delete it" in done.stderr
    assert Path(f"{built}-before").is_dir() and on_main(hub) == contents(built)


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        (("publish", "nothing", NAME), OWNER, "nothing: no such folder"),
        (("publish", "{root}", "equime"), OWNER, "'equime' must read OWNER/NAME"),
        (("publish", "{root}", NAME), None, "not logged in to the Hub: run `hf auth login`, or set HF_TOKEN"),
        (("publish", "{root}", NAME), "hf_wrongSECRET", "the login is not accepted (HTTP 401)"),
        (("publish", "{root}", "other/equime"), OWNER, "refused (HTTP 403; the Hub says: You don't have the rights"),
        (("publish", "{root}", NAME, "--version", "2"), OWNER, "'2' must read like v1.0.0"),
        (
            ("publish", "{root}", NAME, "--version", "banana", "--dry-run"),
            None,
            "'banana' must read like v1.0.0",
        ),
        (("publish", "{root}", NAME, "--remove-subject", "x"), OWNER, "subject 'x' is not in this dataset"),
        (("access", "list", NAME), OWNER, "no such dataset, or one that this login may not see"),
        (("access", "list", NAME, "--status", "open"), OWNER, "'open' must be one of pending"),
        (("access", "reject", NAME, "x", "--reason", ""), OWNER, "reason has 0 letters, it must have 1..200"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], token: str | None, said: str, built: Path, hub: LocalHub
) -> None:
    run = equime if token in (OWNER, None) else process
    done = run(hub, *(argument.format(root=built) for argument in arguments), token=token)
    assert done.returncode == 1
    assert said in error_of(done)


def test_a_hub_that_cannot_be_reached_is_asked_four_times(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not six times as often, by the patience that the client has with lists."""
    monkeypatch.setattr("equime_loader.storage.retry.Retries", partial(Retries, first_delay_s=0))
    hub.cut(0)
    assert error_of(equime(hub, "access", "list", NAME)).endswith("the Hub cannot be reached (attempt 4 of 4)")
    assert len(hub.requests) == 4


def test_access_from_the_command_line(built: Path, hub: LocalHub, tmp_path: Path) -> None:
    assert equime(hub, "publish", built, NAME).returncode == 0
    requests = hub.repository(NAME).requests
    for name in ("reader", "stranger"):
        requests[name] = Asked(
            name, "pending", {"Full name": name}, email=f"{name}@x.org", time="2026-01-02T03:04:05.000Z"
        )
    listed = process(hub, "access", "list", NAME)
    assert "reader (Rita Reader), 2026-01-02: no answer to 'Institution'" in listed.stdout
    shown = equime(hub, "access", "show", NAME, "reader")
    assert "Full name: reader" in shown.stdout and "look at: not agreed to" in shown.stdout
    assert equime(hub, "access", "accept", NAME, "reader").stdout.strip() == f"reader may read {NAME}"
    assert equime(hub, "access", "reject", NAME, "stranger", "--reason", "who are you?").returncode == 0
    assert {name: each.status for name, each in requests.items()} == {"reader": "accepted", "stranger": "rejected"}
    assert equime(hub, "access", "export", NAME, tmp_path / "register.csv").returncode == 0
    assert len((tmp_path / "register.csv").read_text().splitlines()) == 3
    rows = json.loads(equime(hub, "access", "list", NAME, "--status", "accepted", "--json").stdout)
    assert [row["user"] for row in rows] == ["reader"]
