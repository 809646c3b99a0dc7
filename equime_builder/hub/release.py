"""A release, step by step: private, gated, upload aside, compare, card, compare, merge, tag; public only if told to.

Nothing of a release can be seen on `main` before all of it lies on the Hub and is the same as the folder: the upload
goes to a pull request, which the Hub merges in one step. Every step looks first at what is done already, so the same
command goes on where another run was cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equime_builder import manifest
from equime_builder.finish import CARD, LICENCE
from equime_builder.hub.client import MAIN, Hub
from equime_builder.hub.files import OWN_OF_THE_HUB, Changes, Planned, Remote, compare, planned_files
from equime_builder.hub.upload import check_same, upload
from equime_builder.plan import changes_of
from equime_loader.storage.errors import Failure, MissingError, StorageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

VERSION = re.compile(r"v(\d{1,4})\.(\d{1,4})\.(\d{1,4})")
# Files of a gated dataset that the Hub shows to everybody.
OPEN = (CARD, LICENCE)
TITLE = "EquiME release"


class ForeignError(StorageError):
    """A repository that holds something else than a dataset of ours."""


@dataclass(frozen=True, slots=True)
class State:
    """A repository as it stands; `head` None where there is none yet. `tags`: commit by name."""

    head: str | None
    private: bool
    gated: bool | str
    tags: dict[str, str]
    files: dict[str, Remote]


@dataclass(frozen=True, slots=True)
class Release:
    """What a publication would do: a list that can be approved, and the state that it was made for."""

    version: str
    files: tuple[Planned, ...]
    changes: Changes
    state: State

    @property
    def is_done(self) -> bool:
        """Whether `main` holds this already, under this version."""
        return not self.changes and self.state.head is not None and self.state.tags.get(self.version) == self.state.head


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: `commit` on main. `sent`: files whose bytes or paths were new."""

    version: str
    commit: str
    sent: int
    private: bool


def plan_release(hub: Hub, root: Path, *, version: str | None = None) -> Release:
    """Compare a verified folder with the repository. Nothing is changed.

    Raises:
        ValueError: the version is of another form, or names another release.
        ForeignError: the repository holds something else than a dataset of ours.
        StorageError: the Hub does not answer.
    """
    if version is not None and VERSION.fullmatch(version) is None:
        raise ValueError(f"version={version!r} must read like v1.0.0")
    state = read_state(hub)
    files = planned_files(root)
    strangers = state.files.keys() - {file.path for file in files} - OWN_OF_THE_HUB
    if strangers and manifest.HEADER not in state.files:
        raise ForeignError(f"{hub.name}: holds {min(strangers)} and is no EquiME dataset; name another repository")
    changes = compare(root, files, state.files)
    version = version or _next_version(state, changes)
    if version in state.tags and (changes or state.tags[version] != state.head):
        raise ValueError(f"version={version} is another release already; name a new one")
    return Release(version, files, changes, state)


def read_state(hub: Hub) -> State:
    """The repository as it stands.

    Raises:
        StorageError: the Hub does not answer, or refuses the login.
    """
    try:
        info = hub.ask("looking", lambda api: api.dataset_info(hub.name))
    except MissingError:
        hub.ask("checking the login", lambda api: api.whoami())
        return State(None, True, False, {}, {})
    refs = hub.ask("reading tags", lambda api: api.list_repo_refs(hub.name, repo_type="dataset"))
    head, tags = str(info.sha), {tag.name: tag.target_commit for tag in refs.tags}
    files = hub.persist("reading what is there", lambda: hub.tree(head))
    return State(head, bool(info.private), info.gated or False, tags, files)


def _next_version(state: State, changes: Changes) -> str:
    found = [tuple(map(int, match.groups())) for tag in state.tags if (match := VERSION.fullmatch(tag))]
    if not found:
        return "v1.0.0"
    major, minor, patch = max(found)
    newest = f"v{major}.{minor}.{patch}"
    return newest if not changes and state.tags[newest] == state.head else f"v{major}.{minor + 1}.0"


def publish(
    hub: Hub,
    root: Path,
    release: Release,
    *,
    public: bool = False,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[Planned], None] = lambda _: None,
) -> Published:
    """Carry out a release, or what is left of it. Only `public` opens the page; the gate stays closed then, too.

    Raises:
        StorageError: a step that cannot be done; the same command goes on from there.
    """
    _close(hub, release.state, say)
    head = _head(hub)
    if release.state.head not in (None, head):
        raise StorageError(f"{hub.name}: {MAIN} has changed since the list was made; look at it, and run again")
    if release.changes:
        number = _pull_request(hub, release.version, head, _note(root))
        say(f"uploading to pull request {number}; nothing of it is on {MAIN}")
        revision = f"refs/pr/{number}"
        message = f"EquiME {release.version}"
        card = [file for file in release.files if file.path == CARD]
        rest = [file for file in release.files if file.path != CARD]
        upload(hub, root, rest, revision, wanted=release.files, message=message, progress=progress)
        _check_without_card(hub, root, rest, revision)
        upload(hub, root, card, revision, wanted=release.files, message=f"{message}: card", progress=progress)
        check_same(hub, root, release.files, revision)
        say(f"{len(release.files)} files compared by size and hash; merging")
        _merge(hub, number)
        check_same(hub, root, release.files, MAIN)
    head = _head(hub)
    _tag(hub, release.version, head, _note(root))
    say(f"{MAIN} is {release.version} ({head[:8]})")
    _close_leftovers(hub, release.version)
    private = _is_private(hub)
    if public and private:
        hub.ask("opening the page", lambda api: api.update_repo_settings(hub.name, private=False, repo_type="dataset"))
        private = _is_private(hub)
    return Published(release.version, head, len(release.changes.send), private)


def what_is_visible(release: Release, public: bool) -> list[tuple[str, str]]:
    """Who will see what: (who, what). A page that is public already stays so."""
    count, size = len(release.files), sum(file.size for file in release.files)
    names = f"paths, sizes and dates of all {count:,} files ({size / 1e6:,.1f} MB)"
    if not public and release.state.private:
        return [("owners and members", "everything; the repository is private"), ("everybody else", "nothing")]
    return [
        ("everybody", f"{', '.join(OPEN)}: their text; {names}; the form that asks for access"),
        ("who was let in", "the content of all files, at every version that is still on the Hub"),
    ]


def _note(root: Path) -> str:
    """What editions have changed, in words."""
    words = []
    for change in changes_of(manifest.folder_header(root)):
        subjects = ", ".join(change.get("subjects", ()))
        clips = f", {change['clips']} clips" if "clips" in change else ""
        words.append(f"- {change['what']}{': subject ' if subjects else ''}{subjects}{clips}")
    if any("subjects" in change for change in changes_of(manifest.folder_header(root))):
        words.append("Delete these clips from every copy of an earlier version, as the terms ask.")
    return "\n".join(words)


def _close(hub: Hub, state: State, say: Callable[[str], None]) -> None:
    """A repository that is private, where it is new, and gated in any case; both are read back."""
    if state.head is None:
        hub.ask(
            "making the repository",
            lambda api: api.create_repo(hub.name, repo_type="dataset", private=True, exist_ok=True),
        )
        say(f"{hub.page} made, private")
    if state.gated != "manual":
        hub.ask(
            "closing the gate",
            lambda api: api.update_repo_settings(hub.name, gated="manual", repo_type="dataset"),
        )
        say("gate: every request is decided by a person")
    info = hub.ask("reading the settings", lambda api: api.dataset_info(hub.name))
    if info.gated != "manual" or (state.head is None and not info.private):
        raise StorageError(
            f"{hub.name}: private={info.private}, gated={info.gated!r} after setting both; nothing was sent. Set "
            f"them on {hub.page}/settings and run the same command again"
        )


def _head(hub: Hub) -> str:
    return str(hub.ask("reading main", lambda api: api.dataset_info(hub.name, revision=MAIN)).sha)


def _is_private(hub: Hub) -> bool:
    return bool(hub.ask("reading the settings", lambda api: api.dataset_info(hub.name)).private)


def _pull_request(hub: Hub, version: str, head: str, note: str) -> int:
    """The pull request of this release onto this state of main: the one of a run that was cut, else a new one."""
    title = f"{TITLE} {version} on {head[:12]}"

    def attempt() -> int | Failure:
        found = hub.attempt(lambda api: _open_pulls(hub.name, api))
        if isinstance(found, Failure):
            return found
        same = [number for number, named in found.items() if named == title]
        if same:
            return min(same)
        made = hub.attempt(lambda api: api.create_pull_request(hub.name, title, description=note, repo_type="dataset"))
        return made if isinstance(made, Failure) else int(made.num)

    return hub.persist("opening a pull request", attempt)


def _open_pulls(name: str, api: HfApi) -> dict[int, str]:
    """Titles of the releases that are under way, by number."""
    found = api.get_repo_discussions(name, repo_type="dataset", discussion_type="pull_request")
    return {pull.num: pull.title for pull in found if pull.status in ("draft", "open") and pull.title.startswith(TITLE)}


def _close_leftovers(hub: Hub, version: str) -> None:
    """Close pull requests of runs that were cut and can no longer be merged."""
    for number in hub.ask("looking for leftovers", lambda api: _open_pulls(hub.name, api)):

        def close(api: HfApi, number: int = number) -> None:
            api.change_discussion_status(
                hub.name, number, new_status="closed", comment=f"{version} is out", repo_type="dataset"
            )

        hub.ask(f"closing pull request {number}", close)


def _check_without_card(hub: Hub, root: Path, files: Sequence[Planned], revision: str) -> None:
    """Compare everything but the card, which may be there of an earlier version, or not yet."""
    there = hub.persist("comparing", lambda: hub.tree(revision))
    changes = compare(root, files, {path: file for path, file in there.items() if path != CARD})
    if changes:
        check_same(hub, root, files, revision)


def _merge(hub: Hub, number: int) -> None:
    def attempt() -> bool | Failure:
        return hub.attempt(lambda api: _merged(hub.name, api, number))

    hub.persist("merging", attempt)


def _merged(name: str, api: HfApi, number: int) -> bool:
    where: dict[str, Any] = {"repo_id": name, "discussion_num": number, "repo_type": "dataset"}
    status = api.get_discussion_details(**where).status
    if status == "draft":
        api.change_discussion_status(**where, new_status="open")
    if status != "merged":
        api.merge_pull_request(**where)
    return True


def _tag(hub: Hub, version: str, head: str, note: str) -> None:
    hub.ask(
        "tagging",
        lambda api: api.create_tag(
            hub.name, tag=version, revision=head, tag_message=note or None, repo_type="dataset", exist_ok=True
        ),
    )
    refs = hub.ask("reading tags", lambda api: api.list_repo_refs(hub.name, repo_type="dataset"))
    if {tag.name: tag.target_commit for tag in refs.tags}.get(version) != head:
        raise StorageError(f"{hub.name}: {version} names another commit than {head[:8]}; name a new version")


def erase_history(hub: Hub, published: Published) -> int:
    """Delete every earlier version from the Hub, for good, and say how many large files of theirs went with it.

    The release stays, in one commit on main and under its tag.

    Raises:
        StorageError: a step that cannot be done; the same call goes on from there.
    """
    where: dict[str, Any] = {"repo_id": hub.name, "repo_type": "dataset"}
    refs = hub.ask("reading tags", lambda api: api.list_repo_refs(hub.name, repo_type="dataset"))
    message = f"EquiME {published.version}"
    hub.ask("squashing main", lambda api: api.super_squash_history(**where, commit_message=message))
    head = _head(hub)
    for tag in refs.tags:
        hub.persist(f"deleting tag {tag.name}", lambda name=tag.name: _gone(hub, name))  # type: ignore[misc]
    _tag(hub, published.version, head, "")
    kept = {file.sha256 for file in hub.persist("reading main", lambda: hub.tree(head)).values()}
    stale = [
        file
        for file in hub.ask("listing large files", lambda api: list(api.list_lfs_files(**where)))
        if file.file_oid not in kept
    ]
    hub.ask("deleting large files", lambda api: api.permanently_delete_lfs_files(**where, lfs_files=stale))
    return len(stale)


def _gone(hub: Hub, tag: str) -> bool | Failure:
    answer = hub.attempt(lambda api: api.delete_tag(hub.name, tag=tag, repo_type="dataset"))
    return answer if isinstance(answer, Failure) and answer.error is not MissingError else True
