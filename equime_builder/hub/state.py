"""A repository as it stands, and which release its `main` is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from equime_builder import manifest
from equime_builder.hub.client import MAIN, Hub
from equime_builder.hub.files import Remote
from equime_loader.storage.errors import MissingError

VERSION = re.compile(r"v(\d{1,4})\.(\d{1,4})\.(\d{1,4})")
# How titles of our commits and pull requests begin; the version follows.
COMMIT, PULL = "EquiME", "EquiME release"
_TITLE = re.compile(rf"{COMMIT}(?: release)? ({VERSION.pattern})(?![\w.])")


@dataclass(frozen=True, slots=True)
class State:
    """A repository as it stands.

    Attributes:
        head: commit of `main`, None where there is no repository yet. title: what that commit is called.
        tags: commit by name. branches: names of those beside `main`.
    """

    head: str | None
    title: str
    private: bool
    gated: bool | str
    tags: Mapping[str, str]
    branches: tuple[str, ...]
    files: Mapping[str, Remote]

    @property
    def holds_release(self) -> bool:
        """Whether a dataset of ours lies on `main`."""
        return manifest.HEADER in self.files

    @property
    def version(self) -> str | None:
        """The release that `main` is: its newest tag, else what its commit's title says; None where neither does."""
        tagged = [name for name, commit in self.tags.items() if commit == self.head and VERSION.fullmatch(name)]
        titled = _TITLE.match(self.title)
        return max(tagged, key=ordered) if tagged else titled and titled[1]

    @property
    def newest(self) -> str | None:
        """The highest version that was ever given out, as far as tags and `main` tell."""
        known = [name for name in (*self.tags, self.version) if name and VERSION.fullmatch(name)]
        return max(known, key=ordered) if known else None


NOTHING = State(None, "", True, False, {}, (), {})


def ordered(version: str) -> tuple[int, ...]:
    """A version as numbers that can be compared.

    Raises:
        ValueError: it is of another form.
    """
    found = VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"version={version!r} must read like v1.0.0")
    return tuple(map(int, found.groups()))


def read_state(hub: Hub) -> State:
    """The repository as it stands.

    Raises:
        StorageError: the Hub does not answer, or refuses the login.
    """
    try:
        info = hub.ask("looking", lambda api: api.dataset_info(hub.name))
    except MissingError:
        hub.user()  # a login that is not accepted reads the same; this says so
        return NOTHING
    head = str(info.sha)
    refs = hub.ask("reading tags", lambda api: api.list_repo_refs(hub.name, repo_type="dataset"))
    commits = hub.ask("reading titles", lambda api: api.list_repo_commits(hub.name, repo_type="dataset", revision=head))
    return State(
        head,
        commits[0].title,
        bool(info.private),
        info.gated or False,
        {tag.name: tag.target_commit for tag in refs.tags},
        tuple(sorted(branch.name for branch in refs.branches if branch.name != MAIN)),
        hub.persist("reading what is there", lambda: hub.tree(head)),
    )
