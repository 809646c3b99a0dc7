"""The bytes of a dataset, by path and range: from a folder, or from any URL that fsspec knows.

What it takes to read from afar is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from equime_loader.storage.errors import AccessError, CorruptionError, MissingError, PathError, StorageError
from equime_loader.storage.store import Store

if TYPE_CHECKING:
    from equime_loader.storage.cache import CacheSettings
    from equime_loader.storage.opening import open_store
    from equime_loader.storage.retry import Retries

_ROOM_OF = {"CacheSettings": "cache", "Retries": "retry", "open_store": "opening"}

__all__ = [
    "AccessError",
    "CacheSettings",
    "CorruptionError",
    "MissingError",
    "PathError",
    "Retries",
    "StorageError",
    "Store",
    "open_store",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'equime_loader.storage' has no attribute {name!r}")
    return getattr(importlib.import_module(f"equime_loader.storage.{_ROOM_OF[name]}"), name)
