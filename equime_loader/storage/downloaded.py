"""What the Hub's cache holds of a dataset, for machines without a network."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from equime_loader.storage.errors import MissingError

MAIN = "main"
SHARD = re.compile(r"(?P<split>\w+)-\d{5}-of-(?P<of>\d{5})\.parquet")


def is_offline() -> bool:
    """Whether the Hub's client was told to ask nobody (``HF_HUB_OFFLINE``)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def downloaded_folder(repository: str, revision: str = MAIN) -> Path:
    """The folder of the cache with what was downloaded of a dataset before.

    Args:
        revision: a commit, or a tag that the cache knows; main is what was downloaded last.

    Raises:
        MissingError: nothing of it is there, or a part only; one line with the next step.
    """
    found = [each for each in _revisions(repository) if revision in (MAIN, each.commit_hash, *each.refs)]
    if not found:
        at = "" if revision == MAIN else f" at {revision!r}"
        raise MissingError(
            f"{repository}: HF_HUB_OFFLINE is set, and nothing{at} was downloaded before; load it once with the "
            "network, or name a folder with data_dir="
        )
    newest = max(found, key=lambda each: (each.last_modified, each.commit_hash))
    folder = Path(newest.snapshot_path)
    _check_whole(repository, folder)
    return folder


def _revisions(repository: str) -> list[Any]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    kept = (each for each in repositories if (each.repo_type, each.repo_id) == ("dataset", repository))
    return [revision for each in kept for revision in each.revisions]


def _check_whole(repository: str, folder: Path) -> None:
    """A download that was cut would be read as a smaller dataset."""
    shards = [named for path in (folder / "data").glob("*.parquet") if (named := SHARD.fullmatch(path.name))]
    there = Counter((named["split"], int(named["of"])) for named in shards)
    for (split, of), count in sorted(there.items()):
        if count < of:
            raise MissingError(
                f"{repository}: HF_HUB_OFFLINE is set, and {count} of {of} shards of {split} were downloaded before; "
                "load it once with the network"
            )
