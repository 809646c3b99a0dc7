"""What a dataset says of its own files: ``__manifest__/dataset.json``, with a size and a hash for each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DATASET = "__manifest__/dataset.json"
MAX_MANIFEST_BYTES = 64 * 2**20
MAX_FILE_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest lists it."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `dataset.json` says. `content_sha256` changes with any file of the dataset."""

    content_sha256: str
    samples: int
    files: Mapping[str, Listed]


def parse_manifest(data: bytes) -> Manifest:
    """A manifest from its bytes.

    Raises:
        ValueError: not JSON, not a manifest, a size out of bounds, or another content than its own checksum says.
    """
    try:
        content = json.loads(data)
        checksum = content.pop("content_sha256")
        files = {path: Listed(file["bytes"], file["sha256"]) for path, file in content["files"].items()}
        samples = content["samples"]
    except RecursionError:
        raise ValueError("nested too deep for a manifest") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is no manifest of a dataset ({type(error).__name__}: {error})") from None
    if checksum != digest(content):
        raise ValueError("does not match its own checksum")
    for path, file in files.items():
        if type(file.bytes) is not int or not 0 <= file.bytes <= MAX_FILE_BYTES:
            raise ValueError(f"files[{path!r}]: bytes={file.bytes!r} must lie within 0..{MAX_FILE_BYTES}")
        if not isinstance(file.sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
            raise ValueError(f"files[{path!r}]: sha256 must be 64 hexadecimal digits")
    return Manifest(checksum, samples, files)


def digest(content: Mapping[str, Any]) -> str:
    """The checksum that the builder puts into a JSON file of its own content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
