"""Beginning a review, or going on with one that was begun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equime_builder.manifest import FolderError
from equime_builder.review.sample import Settings, sampled
from equime_builder.review.store import FILE, Store
from equime_builder.samples import CORPUS
from equime_loader.index import Index
from equime_loader.selection import Selection


def open_or_begin(index: Index, folder: Path, asked: Mapping[str, Any]) -> Store:
    """The review kept in a folder; where there is none, a new one of clips sampled from the index.

    Args:
        asked: values for `Settings`, None where the review's own (or the default) is meant.

    Raises:
        ValueError: a setting out of its bounds, or another than the review was begun with.
        FolderError: the review cannot be read.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if (folder / FILE).exists():
        store = Store(folder)
        try:
            check_settings(store.settings, given, folder)
        except ValueError:
            store.close()
            raise
        return store
    if imported := sorted(set(index.column("corpus").unique().to_pylist()) - {None, CORPUS}):
        raise FolderError(f"{index.root}: was imported from {imported[0]}; a review asks about a program, it has none")
    settings = Settings(**{"blind": False, **given})
    clips = Selection.all(index)
    index.check(clips.rows)
    wanted = set(sampled(clips, settings))
    rows = clips.labels(("key", "mp4_sha256"))
    return Store.begin(folder, settings, {row["key"]: row["mp4_sha256"] for row in rows if row["key"] in wanted})


def check_settings(settings: Settings, given: Mapping[str, Any], folder: Path) -> None:
    """Raise ValueError where a setting is asked that the review was not begun with."""
    for name, value in given.items():
        if value != (has := getattr(settings, name)):
            told = {True: "yes", False: "no"}.get(has, has) if isinstance(has, bool) else has
            words = ",".join(told) if isinstance(told, tuple) else told
            raise FolderError(
                f"{folder}: this review was begun with {name}={words}; leave the option out, or begin another with "
                "--store"
            )
