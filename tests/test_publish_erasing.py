"""Earlier versions erased from the Hub: what goes, what stays, cut at any request, and never the release itself."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_server import LocalHub, serving_hub
from hub_server.state import Blob
from publishing import NAME, client, contents, on_main, people, release, replace_by_edition

from equime_builder.finish import INDEX
from equime_builder.hub.editing import withdrawal
from equime_builder.hub.release import plan_release, publish, what_is_erased
from equime_loader.storage.errors import AccessError, StorageError

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
GONE_BY = ("/super-squash/", "/tag/", "lfs-files", "/branch/")


@pytest.fixture
def hub(local_hub: LocalHub) -> LocalHub:
    people(local_hub)
    return local_hub


@pytest.fixture(scope="module")
def edition(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built folder without its first subject."""
    root = Path(shutil.copytree(built, tmp_path_factory.mktemp("edition") / "equime"))
    replace_by_edition(root, [partial(withdrawal, subjects=[_first(root)])])
    return root


def _first(root: Path) -> str:
    return str(min(pq.read_table(root / INDEX)["subject"].to_pylist()))


def _two_versions(hub: LocalHub, built: Path, edition: Path) -> None:
    release(hub, built)
    release(hub, edition)
    repository = hub.repository(NAME)
    repository.references["refs/heads/dev"] = repository.references["refs/tags/v1.0.0"]


def _check_erased(hub: LocalHub, built: Path, edition: Path) -> None:
    repository = hub.repository(NAME)
    assert on_main(hub) == on_main(hub, "v1.1.0") == contents(edition)
    assert {name for name in repository.references if "/pr/" not in name} == {"refs/heads/main", "refs/tags/v1.1.0"}
    assert repository.resolve("main").number == repository.resolve("v1.1.0").number
    assert len(repository.history()) == 1
    # What large files of any commit hold, in old pull requests, too. Lines of the manifest name keys, and show nobody.
    gone = _first(built)
    keys = [key for key in pq.read_table(built / INDEX)["key"].to_pylist() if f"_{gone}_" in key]
    held = [blob.data for commit in repository.commits.values() for blob in commit.files.values() if blob.large]
    held += repository.stored.values()
    assert keys and held and not any(key.encode() in data for key in keys for data in held)


def test_history_is_erased(built: Path, edition: Path, hub: LocalHub) -> None:
    _two_versions(hub, built, edition)
    owner = client(hub)
    plan = plan_release(owner, edition, erase=True)
    assert plan.erased == ("v1.0.0", "dev")
    assert "all tags and branches beside v1.1.0 and main (v1.0.0, dev)" in what_is_erased(plan)
    done = publish(owner, edition, plan)
    assert done.erased is not None and done.erased.files > 0
    assert done.erased.left == ("refs/pr/1", "refs/pr/2")
    _check_erased(hub, built, edition)
    assert done.commit == hub.repository(NAME).resolve("main").number, "not the one from before"
    hub.requests.clear()
    again = release(hub, edition, erase=True)
    assert again.commit == done.commit and again.erased is not None and again.erased.files == 0
    assert not [seen for seen in hub.requests if seen.method in ("PUT", "DELETE") or "squash" in seen.path]


def test_it_is_erased_before_the_page_is_opened(built: Path, edition: Path, hub: LocalHub) -> None:
    _two_versions(hub, built, edition)
    hub.requests.clear()
    release(hub, edition, public=True, erase=True)
    paths = [seen.path for seen in hub.requests if seen.method != "GET"]
    (opened,) = [place for place, path in enumerate(paths) if path.endswith("/settings")]
    assert opened == len(paths) - 1 and any("lfs-files" in path for path in paths)
    _check_erased(hub, built, edition)


@pytest.fixture(scope="module")
def requests(built: Path, edition: Path) -> int:
    """How many requests the erasing itself makes, and those behind it."""
    patch = pytest.MonkeyPatch()
    for name, value in {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}.items():
        patch.setattr(f"huggingface_hub.constants.{name}", value)
    with serving_hub() as hub:
        people(hub)
        _two_versions(hub, built, edition)
        hub.requests.clear()
        release(hub, edition, erase=True)
        count = len(hub.requests)
    patch.undo()
    return count


@pytest.mark.parametrize("place", range(40))
def test_an_erasing_that_is_cut_goes_on_under_its_version(
    place: int, built: Path, edition: Path, hub: LocalHub, requests: int
) -> None:
    """The login is revoked at one request after the other; the same command again ends it."""
    if place >= requests:
        pytest.skip(f"an erasing makes {requests} requests")
    assert requests <= 40
    _two_versions(hub, built, edition)
    hub.fail("401", skip=place, times=1)
    with pytest.raises(StorageError):
        release(hub, edition, erase=True)
    hub.mend()
    tags = {name for name in hub.repository(NAME).references if "tags" in name}
    assert tags <= {"refs/tags/v1.0.0", "refs/tags/v1.1.0"}
    assert on_main(hub) == contents(edition)
    done = release(hub, edition, erase=True)
    assert done.version == "v1.1.0"
    _check_erased(hub, built, edition)


def test_the_same_command_without_the_option_says_what_is_left(built: Path, edition: Path, hub: LocalHub) -> None:
    _two_versions(hub, built, edition)
    hub.fail("401", where="/tag/", times=9)
    with pytest.raises(AccessError):
        release(hub, edition, erase=True)
    hub.mend()
    with pytest.raises(ValueError, match=r"v1\.1\.0 names a commit that main has left: an erasing was cut; run again"):
        release(hub, edition)


@pytest.mark.parametrize("trouble", ["412", "429", "503", "done"])
@pytest.mark.parametrize("where", GONE_BY)
def test_troubles_that_pass(trouble: str, where: str, built: Path, edition: Path, hub: LocalHub) -> None:
    _two_versions(hub, built, edition)
    hub.fail(trouble, where=where, times=2)
    release(hub, edition, erase=True)
    _check_erased(hub, built, edition)


def test_a_list_that_does_not_name_the_release_deletes_nothing(
    built: Path, edition: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the list's numbers of another kind one day, every file would count as stale."""
    _two_versions(hub, built, edition)
    monkeypatch.setattr(Blob, "file_oid", property(lambda blob: blob.oid))
    with pytest.raises(
        StorageError, match=r"list of large files lacks \d+ of this version, so none was deleted; delete"
    ):
        release(hub, edition, erase=True)
    assert not hub.asked("lfs-files/batch")
    assert on_main(hub) == contents(edition)


def test_a_hub_that_rewrites_more_than_it_should_is_found(built: Path, edition: Path, hub: LocalHub) -> None:
    _two_versions(hub, built, edition)
    repository = hub.repository(NAME)
    forget = repository.forget

    def more(gone: set[str], rewrite: bool) -> None:
        assert rewrite, "commits of pull requests would name files that are not there"
        kept = {blob.sha256 for blob in repository.files().values() if blob.large}
        forget(gone | {min(kept)}, rewrite)

    repository.forget = more  # type: ignore[method-assign]
    with pytest.raises(StorageError, match=r"differs in size or hash from the folder; after erasing; look at"):
        release(hub, edition, erase=True)
