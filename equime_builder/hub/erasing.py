"""Earlier versions deleted from the Hub for good: the release stays, in one commit on `main` and under its tag.

Its tag is moved before any other is deleted, and `main` says in its title which version it is, so that a run which is
cut never gives a version to something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equime_builder.hub.client import MAIN, Hub
from equime_builder.hub.files import Planned
from equime_builder.hub.pulls import head_of
from equime_builder.hub.state import COMMIT
from equime_builder.hub.upload import check_same
from equime_loader.storage.errors import Failure, MissingError, StorageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True, slots=True)
class Erased:
    """What went: `files` large ones. `left`: pull requests that the Hub keeps, with their small files."""

    files: int
    left: tuple[str, ...]


def erase_history(hub: Hub, root: Path, files: Sequence[Planned], version: str) -> Erased:
    """Delete every earlier version from the Hub: history of `main`, tags, branches, large files.

    Raises:
        StorageError: a step that cannot be done; the same call goes on from there.
    """
    hub.ask("squashing main", lambda api: _squash(api, hub.name, f"{COMMIT} {version}"))
    head = head_of(hub, MAIN)
    put_tag(hub, version, head, "", move=True)
    refs = hub.ask("reading tags", lambda api: api.list_repo_refs(hub.name, repo_type="dataset"))
    for tag in refs.tags:
        if tag.name != version:
            _drop(hub, f"tag {tag.name}", lambda api, name=tag.name: _drop_tag(api, hub.name, name))  # type: ignore[misc]
    for branch in refs.branches:
        if branch.name != MAIN:
            _drop(
                hub,
                f"branch {branch.name}",
                lambda api, name=branch.name: api.delete_branch(hub.name, branch=name, repo_type="dataset"),  # type: ignore[misc]
            )
    count = _erase_large(hub, head)
    check_same(hub, root, files, MAIN, after=f"after erasing; look at {hub.page}/tree/{MAIN}")
    put_tag(hub, version, head_of(hub, MAIN), "", move=True)
    refs = hub.ask(
        "reading pull requests",
        lambda api: api.list_repo_refs(hub.name, repo_type="dataset", include_pull_requests=True),
    )
    return Erased(count, tuple(pull.name for pull in refs.pull_requests or ()))


def put_tag(hub: Hub, version: str, head: str, note: str, *, move: bool = False) -> None:
    """Tag a commit. Only where `move` is set a tag leaves the commit that it names.

    Raises:
        StorageError: the tag names another commit.
    """
    where: dict[str, Any] = {"repo_id": hub.name, "repo_type": "dataset"}

    def tag(api: HfApi) -> str | None:
        there = _tags(api, hub.name)
        if move and there.get(version, head) != head:
            api.delete_tag(**where, tag=version)
        if move or version not in there:
            api.create_tag(**where, tag=version, revision=head, tag_message=note or None, exist_ok=True)
        return _tags(api, hub.name).get(version)

    if hub.ask("tagging", tag) != head:
        raise StorageError(f"{hub.name}: {version} names another commit than {head[:8]}; name a new version")


def _tags(api: HfApi, name: str) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(name, repo_type="dataset").tags}


def _squash(api: HfApi, name: str, message: str) -> bool:
    """One commit on `main`; a run that goes on finds it."""
    commits = api.list_repo_commits(name, repo_type="dataset")
    if len(commits) > 1:
        api.super_squash_history(name, commit_message=message, repo_type="dataset")
    return True


def _drop(hub: Hub, what: str, question: Callable[[HfApi], object]) -> None:
    def attempt() -> bool | Failure:
        answer = hub.attempt(question)
        return answer if isinstance(answer, Failure) and answer.error is not MissingError else True

    hub.persist(f"deleting {what}", attempt)


def _drop_tag(api: HfApi, name: str, tag: str) -> None:
    api.delete_tag(name, tag=tag, repo_type="dataset")


def _erase_large(hub: Hub, head: str) -> int:
    """Delete large files that this commit does not need.

    Raises:
        StorageError: the Hub's list does not hold those that the commit needs: then its numbers cannot be compared.
    """
    kept = {file.sha256 for file in hub.persist("reading main", lambda: hub.tree(head)).values() if file.sha256}
    where: dict[str, Any] = {"repo_id": hub.name, "repo_type": "dataset"}
    listed = hub.ask("listing large files", lambda api: list(api.list_lfs_files(**where)))
    if missing := kept - {file.file_oid for file in listed}:
        raise StorageError(
            f"{hub.name}: the Hub's list of large files lacks {len(missing)} of this version, so none was deleted; "
            f"delete those of earlier versions on {hub.page}/settings"
        )
    stale = [file for file in listed if file.file_oid not in kept]
    hub.ask("deleting large files", lambda api: api.permanently_delete_lfs_files(**where, lfs_files=stale))
    return len(stale)
