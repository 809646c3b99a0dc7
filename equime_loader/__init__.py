"""EquiME's loader: what a training job imports.

    clips = equime_loader.open_dataset("FOLDER or URL").where(split="train")
    for batch in equime_loader.Loader(clips): ...

Importing this package registers `equime` with Hugging Face `datasets`, now or when that is imported, so that
``load_dataset("equime")`` works. Its videos are bytes where torchcodec (extra `torch`) is not installed; those of plain
``load_dataset(FOLDER)`` then need ``.cast_column("video", datasets.Video(decode=False))``. Everything else is imported
when it is first used: torch with `Loader`, not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from equime_loader.extras import needing
from equime_loader.registration import register_with_datasets

if TYPE_CHECKING:
    from pathlib import Path

    from equime_loader import fairness as fairness
    from equime_loader.index import Index as Index
    from equime_loader.interop import to_hugging_face as to_hugging_face
    from equime_loader.interop import to_webdataset as to_webdataset
    from equime_loader.joined import join as join
    from equime_loader.loader import ClipDataset as ClipDataset
    from equime_loader.loader import Loader as Loader
    from equime_loader.loader import balance as balance
    from equime_loader.order import Weighted as Weighted
    from equime_loader.selection import Selection as Selection
    from equime_loader.split_checks import check_leakage as check_leakage
    from equime_loader.split_checks import split_report as split_report
    from equime_loader.splits import holdout as holdout
    from equime_loader.splits import k_fold as k_fold
    from equime_loader.splits import leave_one_dataset_out as leave_one_dataset_out
    from equime_loader.splits import leave_one_subject_out as leave_one_subject_out
    from equime_loader.storage import CacheSettings as CacheSettings
    from equime_loader.storage import Retries as Retries
    from equime_loader.video import View as View
    from equime_loader.video import read_video as read_video
    from equime_loader.window_cache import WindowCacheSettings as WindowCacheSettings
    from equime_loader.windows import Window as Window

_ROOMS = {
    "index": ("Index",),
    "interop": ("to_hugging_face", "to_webdataset"),
    "joined": ("join",),
    "loader": ("ClipDataset", "Loader", "balance"),
    "order": ("Weighted",),
    "selection": ("Selection",),
    "split_checks": ("check_leakage", "split_report"),
    "splits": ("holdout", "k_fold", "leave_one_dataset_out", "leave_one_subject_out"),
    "storage": ("CacheSettings", "Retries"),
    "video": ("View", "read_video"),
    "window_cache": ("WindowCacheSettings",),
    "windows": ("Window",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}
_PACKAGES = ("fairness",)

__all__ = [
    "CacheSettings",
    "ClipDataset",
    "Index",
    "Loader",
    "Retries",
    "Selection",
    "View",
    "Weighted",
    "Window",
    "WindowCacheSettings",
    "balance",
    "check_leakage",
    "fairness",
    "holdout",
    "join",
    "k_fold",
    "leave_one_dataset_out",
    "leave_one_subject_out",
    "open_dataset",
    "read_video",
    "split_report",
    "to_hugging_face",
    "to_webdataset",
]


def open_dataset(root: str | Path, **options: Any) -> Selection:
    """All clips of the dataset in a folder, or at any URL that fsspec knows (``hf://datasets/…`` too), to select from.

    Only the index is read.

    Args:
        options: ``token``, ``cache`` (`CacheSettings`), ``retries`` (`Retries`), and what fsspec takes.

    Raises:
        IndexFault: no index, or one that is damaged. AccessError: the repository is gated; the message says where to
        ask. StorageError: the dataset cannot be reached.
    """
    from equime_loader.index import Index
    from equime_loader.selection import Selection

    return Selection.all(Index.open(root, **options))


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"equime_loader.{name}")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'equime_loader' has no attribute {name!r}")
    with needing("torch", f"equime_loader.{name}"):
        return getattr(importlib.import_module(f"equime_loader.{_ROOM_OF[name]}"), name)


register_with_datasets()
