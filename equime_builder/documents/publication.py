"""Where a folder is to be found on the Hub, once its curator has said so: a file of the manifest, for the texts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from equime_builder import manifest
from equime_builder.manifest import FolderError
from equime_loader.files import write_atomic

PLACEHOLDER = "OWNER/NAME"
# What the Hub takes.
REPOSITORY = re.compile(r"(?!.*(--|\.\.|\.git$))\w([\w.-]{0,94}\w)?/\w([\w.-]{0,94}\w)?", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Publication:
    """A repository `OWNER/NAME` of the Hub, and the day of its first version as YYYY-MM-DD."""

    repository: str
    published: str

    def __post_init__(self) -> None:
        check_repository(self.repository)
        if DAY.fullmatch(self.published) is None:
            raise ValueError(f"published={self.published!r} must be a day like 2025-12-31")
        date.fromisoformat(self.published)

    @property
    def page(self) -> str:
        """The page that people look at."""
        return f"https://huggingface.co/datasets/{self.repository}"


def check_repository(name: str) -> None:
    """Check the name of a dataset on the Hub.

    Raises:
        ValueError: it is no `OWNER/NAME` that the Hub takes.
    """
    if REPOSITORY.fullmatch(name) is None:
        raise ValueError(
            f"repository={name!r} must read OWNER/NAME: each of letters, digits and _, between them - and ., but no -- "
            "and .., and without .git at the end"
        )


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


def publication_in(root: Path, repository: str, published: str | None = None) -> Publication:
    """A folder's publication in a repository; the day of its first version stays, or is today where nobody has said.

    Raises:
        ValueError: no such repository or day is possible.
    """
    known = read_publication(root) if is_sound(root) else None
    day = known.published if known else datetime.now(UTC).date().isoformat()
    return Publication(repository, published or day)


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
