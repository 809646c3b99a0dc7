"""From a folder or URL to its store."""

from __future__ import annotations

import os
import re
from types import NoneType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from equime_loader.arguments import check_kind
from equime_loader.storage.cache import Cache, CacheSettings
from equime_loader.storage.http import HttpSource
from equime_loader.storage.hub import hub_source
from equime_loader.storage.local import LocalStore
from equime_loader.storage.remote import RemoteStore
from equime_loader.storage.retry import Retries
from equime_loader.storage.source import FsspecSource, Source, Token
from equime_loader.storage.store import Store

_HUB_PAGE = re.compile(r"(https?://[^/]+/datasets/[^/]+/[^/]+)/resolve/.*")


def open_store(
    root: str | os.PathLike[str],
    *,
    token: str | None = None,
    cache: CacheSettings | None = None,
    retries: Retries | None = None,
    **fsspec_options: Any,
) -> Store:
    """Open the dataset in a folder or at a URL.

    Args:
        root: a folder, ``hf://datasets/ORG/NAME@REVISION``, ``https://…``, or any URL of fsspec (``s3://…``).
        token: for ``hf://``, else the login that huggingface_hub has stored is used; sent to ``https://`` only when
            it is given.
        cache: where to keep what was read from a URL; None keeps nothing. A folder needs none and ignores it.
        retries: how to deal with a server in trouble.
        fsspec_options: of the filesystem that fsspec has for the URL, e.g. ``client_kwargs={"headers": {…}}``; for
            ``hf://`` also `endpoint`.

    Raises:
        MissingError, AccessError, StorageError: no dataset there, or none that may be read.
        TypeError: an argument of another kind. ValueError: a URL or option that cannot be used.
    """
    check_kind("root", root, (str, os.PathLike), "a folder or URL")
    check_kind("cache", cache, (CacheSettings, NoneType), "CacheSettings(folder, max_bytes)")
    check_kind("retries", retries, (Retries, NoneType), "Retries(...)")
    text = os.fspath(root)
    if not text:
        raise ValueError("root must be a folder or URL; it is empty, and '.' is this folder")
    scheme, separator, _ = text.partition("://")
    if separator and scheme in ("file", "local"):
        text, separator = url2pathname(text.removeprefix(f"{scheme}://")), ""
    if not separator:
        if fsspec_options:
            raise ValueError(f"{next(iter(fsspec_options))} is of no use for the folder {text!r}; leave it out")
        return LocalStore(text)
    retries = retries or Retries()
    source = _source(text.rstrip("/"), scheme, Token(token) if token is not None else None, retries, fsspec_options)
    return RemoteStore(source, cache=Cache(cache) if cache else None, retries=retries)


def _source(root: str, scheme: str, token: Token | None, retries: Retries, options: dict[str, Any]) -> Source:
    if "::" in root:
        raise ValueError("root must be one URL, not a chain of them; `cache` keeps what was read")
    if scheme == "hf":
        return hub_source(root, token=token, retries=retries, **options)
    parts = urlsplit(root)
    if parts.password is not None:
        raise ValueError(f"root on {parts.hostname} must hold no password; pass it as an option of the filesystem")
    if scheme in ("http", "https"):
        if parts.query or parts.fragment:
            raise ValueError(f"root on {parts.hostname} must be a folder, without ? and #; paths are put behind it")
        page = found[1] if (found := _HUB_PAGE.fullmatch(root)) else root
        return HttpSource(root, base=root, token=token, page=page, timeout_s=retries.timeout_s, options=options)
    if token is not None:
        raise ValueError(f"token is for hf:// and https://; log in to {scheme}:// by an option of its filesystem")
    return FsspecSource(root, options)
