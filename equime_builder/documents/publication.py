"""Where a folder is to be found on the Hub, once its curator has said so: a file of the manifest, for the texts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from equime_builder import manifest
from equime_builder.files import write_atomic
from equime_builder.manifest import FolderError

PLACEHOLDER = "OWNER/NAME"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Publication:
    """A repository `OWNER/NAME` of the Hub, and the day of its first version as YYYY-MM-DD."""

    repository: str
    published: str

    def __post_init__(self) -> None:
        if not REPOSITORY.fullmatch(self.repository):
            raise ValueError(f"repository={self.repository!r} must read OWNER/NAME")
        if DAY.fullmatch(self.published) is None:
            raise ValueError(f"published={self.published!r} must be a day like 2025-12-31")
        date.fromisoformat(self.published)

    @property
    def page(self) -> str:
        """The page that people look at."""
        return f"https://huggingface.co/datasets/{self.repository}"


def read_publication(root: Path) -> Publication | None:
    """What a folder's manifest says, None where nobody has said.

    Raises:
        FolderError: the file is damaged.
    """
    path = root / manifest.PUBLICATION
    if not path.exists():
        return None
    try:
        return Publication(**manifest.read_json(path))
    except (TypeError, ValueError):
        raise FolderError(f"{path}: is damaged; write it again with `equime card --write --repository`") from None


def is_sound(root: Path) -> bool:
    """Whether a folder's manifest says nothing of a publication, or what can be read."""
    try:
        read_publication(root)
    except FolderError:
        return False
    return True


def write_publication(root: Path, publication: Publication) -> None:
    """Note where a folder is to be found; its texts are to be written again."""
    write_atomic(root / manifest.PUBLICATION, (json.dumps(asdict(publication), indent=1) + "\n").encode())
