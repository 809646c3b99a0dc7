"""The bytes of a dataset, by path and range: from a folder, or from any URL that fsspec knows."""

from equime_loader.storage.cache import CacheSettings
from equime_loader.storage.errors import AccessError, CorruptionError, MissingError, PathError, StorageError
from equime_loader.storage.opening import open_store
from equime_loader.storage.retry import Retries
from equime_loader.storage.store import Store

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
