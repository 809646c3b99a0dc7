"""Bytes to a revision of a repository: in batches, each attempted until it lies there, none sent twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from equime_builder.hub.client import Hub
from equime_builder.hub.files import Planned, batches, compare
from equime_loader.storage.errors import Failure, StorageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

DELETIONS = 100


class CompareError(StorageError):
    """What lies on the Hub is not what was sent."""


def upload(
    hub: Hub,
    root: Path,
    files: Sequence[Planned],
    revision: str,
    *,
    wanted: Sequence[Planned],
    message: str,
    progress: Callable[[Planned], None] = lambda _: None,
) -> None:
    """Make a revision hold `files`, and nothing that is not `wanted`.

    What lies there already, by size and hash, is not sent. After every failure the revision is read again, so a commit
    whose answer was lost is not made twice.

    Raises:
        StorageError: a batch that does not come there.
    """
    there = hub.persist("reading what is there", lambda: hub.tree(revision))
    changes = compare(root, files, there)
    for file in changes.keep:
        progress(file)
    for batch in batches(changes.send):
        _send(hub, root, batch, revision, message)
        for file in batch:
            progress(file)
    stray = compare(root, wanted, there).delete
    for start in range(0, len(stray), DELETIONS):
        _delete(hub, stray[start : start + DELETIONS], revision, message)


def _send(hub: Hub, root: Path, batch: Sequence[Planned], revision: str, message: str) -> None:
    tried = False

    def attempt() -> bool | Failure:
        nonlocal tried
        left: Sequence[Planned] = batch
        if tried:
            there = hub.tree(revision)
            if isinstance(there, Failure):
                return there
            left = compare(root, batch, there).send
        tried = True
        may = hub.may_send(revision) if left else True
        if isinstance(may, Failure) or not left:
            return may
        return hub.attempt(lambda api: _commit(api, hub.name, root, left, revision, message))

    hub.persist(f"sending {batch[0].path} and {len(batch) - 1} more", attempt)


def _commit(api: HfApi, name: str, root: Path, files: Sequence[Planned], revision: str, message: str) -> bool:
    from huggingface_hub import CommitOperationAdd

    operations = [CommitOperationAdd(file.path, str(root / file.path)) for file in files]
    api.create_commit(name, operations, commit_message=message, repo_type="dataset", revision=revision)
    return True


def _delete(hub: Hub, paths: Sequence[str], revision: str, message: str) -> None:
    def attempt() -> bool | Failure:
        from huggingface_hub import CommitOperationDelete

        there = hub.tree(revision)
        if isinstance(there, Failure):
            return there
        operations = [CommitOperationDelete(path, is_folder=False) for path in paths if path in there]

        def commit(api: HfApi) -> bool:
            api.create_commit(hub.name, operations, commit_message=message, repo_type="dataset", revision=revision)
            return True

        return hub.attempt(commit) if operations else True

    hub.persist(f"deleting {paths[0]} and {len(paths) - 1} more", attempt)


def check_same(
    hub: Hub, root: Path, files: Sequence[Planned], revision: str, *, after: str, beside: Collection[str] = ()
) -> None:
    """Compare sizes and hashes of a revision with the planned ones.

    Args:
        after: what has happened or not, and the next step, for the message. beside: paths that may be there.

    Raises:
        CompareError: a file is missing, differs, or is one too many.
    """
    there = hub.persist("comparing", lambda: hub.tree(revision))
    changes = compare(root, files, {path: file for path, file in there.items() if path not in beside})
    if changes:
        wrong = [*(file.path for file in changes.send), *changes.delete]
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise CompareError(f"{hub.name}: {wrong[0]}{more} differs in size or hash from the folder; {after}")
