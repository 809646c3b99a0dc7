"""A release, step by step: private, gated, upload aside, compare, card, compare, merge, tag; public only if told to.

Nothing of a release can be seen on `main` before all of it lies on the Hub and is the same as the folder: the upload
goes to a pull request, which the Hub merges in one step. Every step looks first at what is done already, so the same
command goes on where another run was cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from equime_builder import manifest
from equime_builder.documents.changes import DELETE, change_in_words, must_delete
from equime_builder.finish import CARD, LICENSE
from equime_builder.hub.client import MAIN, Hub
from equime_builder.hub.doors import check_doors, close_doors, open_page
from equime_builder.hub.erasing import Erased, erase_history, put_tag
from equime_builder.hub.files import OWN_OF_THE_HUB, Changes, Planned, compare, digest, planned_files
from equime_builder.hub.pulls import close_others, head_of, merge, open_pull, revision_of
from equime_builder.hub.state import COMMIT, PULL, State, ordered, read_state
from equime_builder.hub.upload import check_same, upload
from equime_builder.plan import changes_of
from equime_loader.storage.errors import StorageError

# Files of a gated dataset that the Hub shows to everybody.
OPEN = (CARD, LICENSE)


class ForeignError(StorageError):
    """A repository that holds something else than a dataset of ours."""


@dataclass(frozen=True, slots=True)
class Release:
    """What a publication would do: a list that can be approved, and the state that it was made for.

    Attributes:
        name: of the repository. files: all of the release, in the order in which they are sent.
        state: of the repository, None where the Hub was not asked; `changes` then counts every file as new.
        public: whether the page is opened, or may stay open. erase: whether earlier versions are deleted for good.
    """

    name: str
    version: str
    files: tuple[Planned, ...]
    changes: Changes
    state: State | None
    public: bool = False
    erase: bool = False

    @property
    def number(self) -> str:
        """What a curator approves: all that the release is and does, and behind a dash what it deletes on `main`."""
        parts = (self.name, self.version, f"public {self.public}", f"erase {self.erase}", digest(self.files))
        wanted = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        deleted = hashlib.sha256("\n".join(self.changes.delete).encode()).hexdigest()[:8]
        return f"{wanted}-{deleted}" if self.changes.delete else wanted

    def is_approved(self, number: str) -> bool:
        """Whether a number stands for this release. What was approved to be deleted may be gone already."""
        return number == self.number or (not self.changes.delete and number.partition("-")[0] == self.number)

    @property
    def erased(self) -> tuple[str, ...]:
        """Tags and branches that would be deleted for good."""
        if not self.erase or self.state is None:
            return ()
        return (*sorted(tag for tag in self.state.tags if tag != self.version), *self.state.branches)


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    Attributes:
        commit: on `main`, at the end. sent: files whose bytes or paths were new. private, gated: as read at the end.
        erased: what was deleted for good, None where nothing was to be.
    """

    version: str
    commit: str
    sent: int
    private: bool
    gated: bool | str
    erased: Erased | None = None


def plan_release(
    hub: Hub, root: Path, *, version: str | None = None, public: bool = False, erase: bool = False
) -> Release:
    """Compare a verified folder with the repository. Nothing is changed.

    Raises:
        ValueError: a version of another form, or one that is not above all others; a page that is public already,
            where `public` is not set.
        ForeignError: the repository holds something else than a dataset of ours.
        StorageError: the Hub does not answer.
    """
    if version is not None:
        ordered(version)
    state = read_state(hub)
    files = planned_files(root)
    strangers = state.files.keys() - {file.path for file in files} - OWN_OF_THE_HUB
    if strangers and not state.holds_release:
        raise ForeignError(f"{hub.name}: holds {min(strangers)} and is no EquiME dataset; name another repository")
    if state.holds_release and not state.private and not public:
        raise ValueError(
            f"{hub.page} is public, and so is every step of a release: run again with --public, or make it private on "
            f"{hub.page}/settings"
        )
    changes = compare(root, files, state.files)
    return Release(hub.name, _version(state, changes, version, erase), files, changes, state, public, erase)


def uncompared_release(
    name: str, root: Path, *, version: str | None = None, public: bool = False, erase: bool = False
) -> Release:
    """A verified folder as a release, without asking the Hub: to be looked at, and neither approved nor published.

    Raises:
        ValueError: a version of another form.
    """
    if version is not None:
        ordered(version)
    files = planned_files(root)
    return Release(name, version or _after(None), files, compare(root, files, {}), None, public, erase)


def _version(state: State, changes: Changes, wanted: str | None, erase: bool) -> str:
    """The version of a release: the one that `main` is where nothing changes, else one above all others."""
    here = None if changes else state.version
    if wanted is None or wanted == here:
        version = here or _after(state.newest)
        if version in state.tags and state.tags[version] != state.head and not erase:
            raise ValueError(
                f"{version} names a commit that {MAIN} has left: an erasing was cut; run again with --erase-history"
            )
        return version
    if state.newest and ordered(wanted) <= ordered(state.newest):
        raise ValueError(f"version={wanted} must be above {state.newest}, the newest; name a higher one")
    return wanted


def _after(newest: str | None) -> str:
    major, minor, _ = ordered(newest) if newest else (1, -1, 0)
    return f"v{major}.{minor + 1}.0"


def publish(
    hub: Hub,
    root: Path,
    release: Release,
    *,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[Planned], None] = lambda _: None,
) -> Published:
    """Carry out a release, or what is left of it. The gate stays closed, also where the page is opened.

    Raises:
        StorageError: a step that cannot be done; the same command goes on from there.
        ValueError: a release that was not compared with the Hub.
    """
    state = release.state
    if state is None:
        raise ValueError(f"release={release.version} was not compared with the Hub; plan it with a login")
    stays = release.public and state.holds_release and not state.private
    close_doors(hub, new=state.head is None, may_be_public=stays, say=say)
    head = head_of(hub, MAIN)
    if state.head not in (None, head):
        raise StorageError(f"{hub.name}: {MAIN} has changed since the list was made; look at it, and run again")
    title = f"{PULL} {release.version} ({digest(release.files)[:8]}) on {head[:12]}"
    user = hub.user()
    close_others(hub, title, user, say)
    if release.changes:
        _replace_main(hub, root, release, head, open_pull(hub, title, _note(root), user), say, progress)
    if not release.erase:
        put_tag(hub, release.version, head_of(hub, MAIN), _note(root))
    say(f"{MAIN} is {release.version}")
    erased = erase_history(hub, root, release.files, release.version) if release.erase else None
    if release.public:
        open_page(hub)
    private, gated = check_doors(hub)
    commit = head_of(hub, MAIN)
    return Published(release.version, commit, len(release.changes.send), private, gated, erased)


def _replace_main(
    hub: Hub,
    root: Path,
    release: Release,
    head: str,
    number: int,
    say: Callable[[str], None],
    progress: Callable[[Planned], None],
) -> None:
    """Send what changes to a pull request, compare it, and merge it; the card goes last."""
    say(f"uploading to pull request {number}; nothing of it is on {MAIN}")
    revision, message = revision_of(number), f"{COMMIT} {release.version}"
    card = [file for file in release.files if file.path == CARD]
    rest = [file for file in release.files if file.path != CARD]
    upload(hub, root, rest, revision, wanted=release.files, message=message, progress=progress)
    check_same(hub, root, rest, revision, after="nothing was merged, run the same command again", beside=(CARD,))
    upload(hub, root, card, revision, wanted=release.files, message=f"{message}: card", progress=progress)
    sent = head_of(hub, revision)
    check_same(hub, root, release.files, sent, after="nothing was merged, run the same command again")
    say(f"{len(release.files)} files compared by size and hash; merging")
    merge(hub, number, sent=sent, main=head)
    check_same(hub, root, release.files, MAIN, after=f"after the merge; look at {hub.page}/commits/{MAIN}")


def what_is_visible(release: Release) -> list[tuple[str, str]]:
    """Who will see what: (who, what)."""
    count, size = len(release.files), sum(file.size for file in release.files)
    if not release.public and release.state is None:
        return [("everybody", f"not known, the Hub was not asked; nothing, if {release.name} is private or new")]
    if not release.public:
        return [("owners and members", "everything; the repository is private"), ("everybody else", "nothing")]
    names = f"paths, sizes and dates of all {count:,} files ({size / 1e6:,.1f} MB)"
    pulls = "pull requests: titles, notes, and lists of files, of those that are on their way, too"
    return [
        ("everybody", f"{', '.join(OPEN)}: their text; {names}; {pulls}; the form that asks for access"),
        ("who was let in", "the content of all files, at every version and pull request that is still on the Hub"),
    ]


def what_is_erased(release: Release) -> str:
    """What is deleted for good, in words; empty where nothing is."""
    if not release.erase:
        return ""
    named = f" ({', '.join(release.erased)})" if release.erased else ""
    unknown = "; which ones is not known, the Hub was not asked" if release.state is None else ""
    return (
        f"history of {MAIN}, all tags and branches beside {release.version} and {MAIN}{named}, and every large file "
        f"that this version does not hold{unknown}"
    )


def _note(root: Path) -> str:
    """What editions have changed, in numbers: everybody reads pull requests and tags of a public page."""
    changes = changes_of(manifest.folder_header(root))
    words = [f"- {change_in_words(change)}" for change in changes]
    if must_delete(changes):
        words.append(f"{DELETE}, as the terms ask.")
    return "\n".join(words)
