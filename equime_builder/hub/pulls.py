"""Pull requests of releases: ours only, told apart by who opened them, and merged only as they were compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from equime_builder.hub.client import MAIN, Hub
from equime_builder.hub.state import PULL
from equime_loader.storage.errors import Failure, StorageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def revision_of(number: int) -> str:
    """The name of a pull request's own branch."""
    return f"refs/pr/{number}"


def open_pull(hub: Hub, title: str, note: str, user: str) -> int:
    """The number of this user's pull request with this title: the one of a run that was cut, else a new one.

    Anybody may open a pull request of any title on a public page, and whoever opened one may write to it.
    """

    def attempt() -> int | Failure:
        found = hub.attempt(lambda api: _open_of(hub.name, api, user))
        if isinstance(found, Failure):
            return found
        same = [number for number, named in found.items() if named == title]
        if same:
            return min(same)
        made = hub.attempt(lambda api: api.create_pull_request(hub.name, title, description=note, repo_type="dataset"))
        return made if isinstance(made, Failure) else int(made.num)

    return hub.persist("opening a pull request", attempt)


def close_others(hub: Hub, title: str, user: str, say: Callable[[str], None]) -> None:
    """Close this user's pull requests of runs that were cut and are of another list, or onto another `main`."""
    for number, named in hub.ask("looking for leftovers", lambda api: _open_of(hub.name, api, user)).items():
        if named != title:
            hub.ask(
                f"closing pull request {number}",
                lambda api, number=number: api.change_discussion_status(  # type: ignore[misc]
                    hub.name, number, new_status="closed", comment="Of another list of files.", repo_type="dataset"
                ),
            )
            say(f"pull request {number} of a run that was cut is closed; --erase-history deletes its large files")


def _open_of(name: str, api: HfApi, user: str) -> dict[int, str]:
    """Titles of this user's releases that are under way, by number."""
    found = api.get_repo_discussions(name, repo_type="dataset", discussion_type="pull_request")
    return {
        pull.num: pull.title
        for pull in found
        if pull.status in ("draft", "open") and pull.title.startswith(PULL) and pull.author == user
    }


def head_of(hub: Hub, revision: str) -> str:
    """The commit that a branch or pull request is at."""
    return str(hub.ask(f"reading {revision}", lambda api: api.dataset_info(hub.name, revision=revision)).sha)


def merge(hub: Hub, number: int, *, sent: str, main: str) -> None:
    """Merge a pull request in one step, if it is still at the commit that was compared, and `main` where it was.

    Raises:
        StorageError: somebody else has written to one of them, or the Hub does not merge.
    """
    if not hub.ask("merging", lambda api: _merged(hub.name, api, number, [sent, main])):
        raise StorageError(
            f"{hub.name}: {MAIN} has changed since the list was made, or pull request {number} since it was compared; "
            "nothing was merged. Look at both, and run the same command again"
        )


def _merged(name: str, api: HfApi, number: int, expected: list[str]) -> bool:
    where: dict[str, Any] = {"repo_id": name, "discussion_num": number, "repo_type": "dataset"}
    status = api.get_discussion_details(**where).status
    if status == "merged":
        return True
    if [api.dataset_info(name, revision=each).sha for each in (revision_of(number), MAIN)] != expected:
        return False
    if status == "draft":
        api.change_discussion_status(**where, new_status="open")
    api.merge_pull_request(**where)
    return True
