"""Who may see and write what, and when: public pages, gates that others open, pull requests of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import LocalHub
from hub_server.state import Blob, Repository
from publishing import NAME, OWNER, STRANGER, client, contents, on_main, people, release

from equime_builder.hub.files import digest, planned_files
from equime_builder.hub.release import ForeignError, plan_release, publish, what_is_visible
from equime_loader.storage.errors import AccessError, StorageError

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
MAIN = "refs/heads/main"


@pytest.fixture
def hub(local_hub: LocalHub) -> LocalHub:
    people(local_hub)
    return local_hub


@pytest.fixture
def second(built: Path, copy_of: Callable[[Path], Path]) -> Path:
    """A folder of which a second version is made, by a note beside its clips."""
    root = copy_of(built)
    (root / "LICENSE").write_text((root / "LICENSE").read_text() + "\nA second version.\n")
    return root


def test_an_empty_public_page_is_made_private_first(built: Path, hub: LocalHub) -> None:
    hub.answers.repositories[NAME] = Repository(NAME, False)
    done = release(hub, built)
    repository = hub.repository(NAME)
    assert done.private and repository.private and repository.gated == "manual"
    assert on_main(hub) == contents(built)
    assert all(seen.private and seen.gated == "manual" for seen in repository.seen if seen.holds)


def test_an_empty_public_page_is_opened_at_the_end(built: Path, hub: LocalHub) -> None:
    hub.answers.repositories[NAME] = Repository(NAME, False)
    assert not release(hub, built, public=True).private
    repository = hub.repository(NAME)
    final = repository.resolve("main").number
    assert [seen for seen in repository.seen if seen.holds and not seen.private] == [repository.seen[-1]]
    assert repository.seen[-1].main == final


def test_a_public_page_of_somebody_s_card_alone(built: Path, hub: LocalHub) -> None:
    hub.answers.repositories[NAME] = Repository(NAME, False)
    hub.repository(NAME).commit(MAIN, {"README.md": Blob(b"my own card", False)}, "mine")
    assert release(hub, built).private


def test_a_public_release_goes_on_only_when_told_to(second: Path, built: Path, hub: LocalHub) -> None:
    release(hub, built, public=True)
    before, asked = on_main(hub), len(hub.asked(method="POST"))
    with pytest.raises(ValueError, match=r"is public, and so is every step of a release: run again with --public, or"):
        release(hub, second)
    assert on_main(hub) == before and len(hub.asked(method="POST")) == asked
    assert release(hub, second, public=True).version == "v1.1.0"
    assert not hub.repository(NAME).private


def test_a_gate_that_is_opened_during_the_upload_is_closed_before_the_page_opens(built: Path, hub: LocalHub) -> None:
    owner = client(hub)

    def meanwhile(line: str) -> None:
        if "compared" in line:
            hub.repository(NAME).gated = False

    done = publish(owner, built, plan_release(owner, built, public=True), say=meanwhile)
    repository = hub.repository(NAME)
    assert (done.private, done.gated) == (False, "manual") == (repository.private, repository.gated)
    assert all(seen.private or seen.gated == "manual" for seen in repository.seen)


def test_a_gate_that_is_opened_at_the_very_end_makes_the_page_private(second: Path, built: Path, hub: LocalHub) -> None:
    release(hub, built, public=True)
    owner = client(hub)

    def meanwhile(line: str) -> None:
        if "compared" in line:
            hub.repository(NAME).gated = "auto"

    plan = plan_release(owner, second, public=True)
    publish(owner, second, plan, say=meanwhile)
    repository = hub.repository(NAME)
    assert repository.gated == "manual", "found and closed before the end"
    # Where it cannot be closed, nobody gets in.
    from equime_builder.hub.doors import check_doors

    repository.gated = "auto"
    with pytest.raises(StorageError, match="its gate was set to 'auto' meanwhile; the page is private now"):
        check_doors(owner)
    assert repository.private


def test_who_may_write_but_not_set(built: Path, hub: LocalHub) -> None:
    """A member of the organization, who may write, and may not change settings."""
    hub.user("writer", "hf_writerSECRET", "lab", role="write")
    hub.answers.repositories[NAME] = Repository(NAME, False)
    with pytest.raises(AccessError, match=r"making the page private: refused \(HTTP 403; the Hub says: You need to be"):
        release(hub, built, "hf_writerSECRET")
    assert not hub.repository(NAME).stored
    release(hub, built)
    assert release(hub, built, "hf_writerSECRET").version == "v1.0.0", "where all is set already"


def _pull_of_a_stranger(hub: LocalHub, title: str) -> str:
    """A pull request that a stranger opens, with the real client."""
    api = huggingface_hub.HfApi(endpoint=hub.url, token=STRANGER)
    number = api.create_pull_request(NAME, title, repo_type="dataset").num
    return f"refs/pr/{number}"


def test_a_pull_request_of_a_stranger_is_left_alone(second: Path, built: Path, hub: LocalHub) -> None:
    """Its title is the one that the release will look for; the stranger may write to it until it is merged."""
    release(hub, built, public=True)
    head = hub.repository(NAME).resolve("main").number
    title = f"EquiME release v1.1.0 ({digest(planned_files(second))[:8]}) on {head[:12]}"
    reference = _pull_of_a_stranger(hub, title)
    stranger = huggingface_hub.HfApi(endpoint=hub.url, token=STRANGER)

    def meanwhile(line: str) -> None:
        if "compared" in line:
            stranger.upload_file(
                path_or_fileobj=b"---\nlicense: mit\n---\nevil card", path_in_repo="README.md",
                repo_id=NAME, repo_type="dataset", revision=reference,
            )  # fmt: skip

    owner = client(hub)
    publish(owner, second, plan_release(owner, second, public=True), say=meanwhile)
    repository = hub.repository(NAME)
    assert on_main(hub) == contents(second)
    assert b"evil" in repository.files(reference)["README.md"].data, "it could be written to"
    assert [(pull.author, pull.status) for pull in repository.pulls.values()] == [
        ("curator", "merged"),
        ("stranger", "draft"),
        ("curator", "merged"),
    ]


def test_a_commit_after_the_comparison_is_not_merged(built: Path, hub: LocalHub) -> None:
    owner = client(hub)

    def meanwhile(line: str) -> None:
        if "compared" in line:
            repository = hub.repository(NAME)
            files = {**repository.files("refs/pr/1"), "README.md": Blob(b"of another member", False)}
            repository.commit("refs/pr/1", files, "between")

    with pytest.raises(StorageError, match=r"or pull request 1 since it was compared; nothing was merged\. Look at"):
        publish(owner, built, plan_release(owner, built), say=meanwhile)
    assert on_main(hub) == {}


def test_main_that_changes_during_the_upload_is_not_merged_into(built: Path, hub: LocalHub) -> None:
    """The Hub would merge both where they do not touch the same files."""
    owner = client(hub)

    def meanwhile(line: str) -> None:
        if "uploading" in line:
            repository = hub.repository(NAME)
            repository.commit(MAIN, {**repository.files(), "paper.pdf": Blob(b"x", False)}, "by hand")

    with pytest.raises(StorageError, match=r"main has changed since the list was made, .*nothing was merged"):
        publish(owner, built, plan_release(owner, built), say=meanwhile)
    assert on_main(hub) == {"paper.pdf": b"x"}


def test_what_somebody_writes_to_main_in_the_moment_of_the_merge(built: Path, hub: LocalHub) -> None:
    """Nothing can prevent it; it is found, and the words do not say that nothing was merged."""
    owner = client(hub)
    repository_merge = hub.answers.merge

    def merge(*arguments: object, **names: str) -> object:
        repository = hub.repository(NAME)
        repository.commit(MAIN, {**repository.files(), "paper.pdf": Blob(b"x", False)}, "by hand")
        return repository_merge(*arguments, **names)  # type: ignore[arg-type]

    from hub_server import answers

    routes = tuple(
        (method, pattern, (lambda _, *a, **k: merge(*a, **k)) if route is answers.Answers.merge else route)
        for method, pattern, route in answers.ROUTES
    )
    patch = pytest.MonkeyPatch()
    patch.setattr(answers, "ROUTES", routes)
    with patch.context(), pytest.raises(StorageError) as caught:
        publish(owner, built, plan_release(owner, built))
    patch.undo()
    assert "paper.pdf differs in size or hash from the folder; after the merge; look at" in str(caught.value)
    assert "nothing was merged" not in str(caught.value)


def test_a_folder_that_changed_after_a_cut_gets_a_pull_request_of_its_own(
    second: Path, built: Path, hub: LocalHub
) -> None:
    hub.fail("401", where="/merge", times=9)
    with pytest.raises(AccessError):
        release(hub, built)
    hub.mend()
    said: list[str] = []
    owner = client(hub)
    publish(owner, second, plan_release(owner, second), say=said.append)
    repository = hub.repository(NAME)
    assert {pull.number: pull.status for pull in repository.pulls.values()} == {1: "closed", 2: "merged"}
    assert on_main(hub) == contents(second)
    assert "pull request 1 of a run that was cut is closed; --erase-history deletes its large files" in said


def test_versions_grow(second: Path, built: Path, hub: LocalHub) -> None:
    release(hub, built, version="v1.2.0")
    owner = client(hub)
    for low in ("v0.9.0", "v1.1.9"):
        with pytest.raises(ValueError, match=rf"version={low} must be above v1\.2\.0, the newest; name a higher one"):
            plan_release(owner, built, version=low)
    with pytest.raises(ValueError, match=r"version=v1\.2\.0 must be above v1\.2\.0"):
        plan_release(owner, second, version="v1.2.0")
    assert plan_release(owner, built, version="v1.2.0").version == plan_release(owner, built).version == "v1.2.0"
    assert plan_release(owner, second).version == "v1.3.0"
    assert plan_release(owner, second, version="v2.0.0").version == "v2.0.0"


def test_a_cut_between_merge_and_tag_keeps_the_version(second: Path, built: Path, hub: LocalHub) -> None:
    release(hub, built)
    hub.fail("401", where="/tag/", times=9)
    with pytest.raises(AccessError):
        release(hub, second, version="v2.0.0")
    hub.mend()
    assert plan_release(client(hub), second).version == "v2.0.0"
    assert release(hub, second, version="v2.0.0").version == "v2.0.0"
    assert hub.repository(NAME).resolve("v2.0.0").number == hub.repository(NAME).resolve("main").number


def test_a_number_stands_for_all_that_a_release_does(second: Path, built: Path, hub: LocalHub) -> None:
    release(hub, built)
    owner = client(hub)
    ways = ({}, {"public": True}, {"erase": True}, {"version": "v3.0.0"})
    plans = [plan_release(owner, root, **way) for root in (built, second) for way in ways]
    assert len({plan.number for plan in plans}) == len(plans)
    assert all(each.is_approved(plan.number) == (each is plan) for each in plans for plan in plans)
    before = plan_release(owner, second)
    repository = hub.repository(NAME)
    repository.commit(MAIN, {**repository.files(), "paper.pdf": Blob(b"x", False)}, "by hand")
    deleting = plan_release(owner, second)
    assert deleting.changes.delete == ("paper.pdf",)
    assert not deleting.is_approved(before.number), "what is deleted is approved, too"
    # After a cut the same number goes on, also when what was to be deleted has gone.
    hub.fail("401", where="/tag/", times=9)
    with pytest.raises(AccessError):
        publish(owner, second, deleting)
    hub.mend()
    assert plan_release(owner, second).is_approved(deleting.number)


def test_another_dataset_s_repository_is_left_as_it_is(built: Path, hub: LocalHub) -> None:
    hub.answers.repositories[NAME] = Repository(NAME, False)
    hub.repository(NAME).commit(MAIN, {"model.bin": Blob(b"mine", False)}, "mine")
    with pytest.raises(ForeignError):
        release(hub, built)
    assert not hub.repository(NAME).private, "not even its settings"


def test_everybody_s_view_includes_pull_requests(built: Path, hub: LocalHub) -> None:
    release(hub, built, public=True)
    (_, everybody), _ = what_is_visible(plan_release(client(hub), built, public=True))
    assert "pull requests: titles, notes, and lists of files" in everybody
    nobody = huggingface_hub.HfApi(endpoint=hub.url, token=False)
    listed = nobody.list_repo_tree(NAME, repo_type="dataset", revision="refs/pr/1", recursive=True)
    assert {entry.path for entry in listed} >= set(contents(built)), "as the Hub does"
    assert OWNER not in everybody


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("MOST_FILES", 20, r"26 files, the Hub takes 20; build with larger shards"),
        ("MOST_IN_FOLDER", 2, r"wds: \d+ files, the Hub takes 2 in a folder; build with larger shards"),
        ("LARGEST_BYTES", 1000, r": 0 GB, the Hub takes 0 GB in a file"),
    ],
)
def test_more_than_the_hub_takes(
    limit: str, value: int, said: str, built: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"equime_builder.hub.files.{limit}", value)
    with pytest.raises(ValueError, match=rf"is not published: .*{said}"):
        plan_release(client(hub), built)
