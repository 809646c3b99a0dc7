"""What the sources of photographs share: files, curation, and reading a surveyed photograph again."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from equime_builder.curation.scoring import Job, score_files
from equime_builder.curation.survey import Candidate, Pool, Wanted, take_survey
from equime_builder.curation.table import FILE, Known, read_known
from equime_builder.landmarks import FRAME_SIDE_IODS, cut
from equime_builder.pictures import decode_picture, locate, read_bytes, sha256
from equime_builder.portraits import Portrait, PortraitError, Subject, Survey
from equime_builder.profiles import Profile
from equime_loader.files import file_sha256, files_in

__all__ = ["Candidate", "CurationTable", "PhotographSource", "Pool", "fingerprint", "locate", "pictures_in"]


@dataclass(frozen=True, slots=True)
class CurationTable:
    """A table that `equime curate` left: by its hash, and where it lies on this machine, if it does."""

    sha256: str
    path: Path | None = None

    @classmethod
    def at(cls, path: Path) -> CurationTable:
        """The table of a file.

        Raises:
            ValueError: there is no such file.
        """
        if not path.is_file():
            raise ValueError(f"--curation {path}: no such file; give the {FILE} that `equime curate` wrote")
        return cls(file_sha256(path), path)

    def known(self) -> Known:
        """Its scores and estimates.

        Raises:
            ValueError: the file is not here, not the one that was planned with, or no such table.
        """
        if self.path is None:
            raise ValueError(
                f"the plan was made with a table of `equime curate` (sha256 {self.sha256[:12]}…); give it by --curation"
            )
        if (found := file_sha256(self.path)) != self.sha256:
            raise ValueError(
                f"{self.path} is not the table that the plan was made with: its sha256 is {found[:12]}…, "
                f"{self.sha256[:12]}… was expected"
            )
        return read_known(self.path)


def fingerprint(root: Path, references: Iterable[str], extra: str) -> str:
    """Digest of the photographs' names and bytes and of whatever else decides the survey."""
    digest = hashlib.sha256(extra.encode())
    for reference in references:
        digest.update(f"\0{reference}\0".encode("utf-8", "surrogateescape"))
        try:
            with open(locate(root, reference), "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except (OSError, PortraitError):
            digest.update(b"unreadable")
    return digest.hexdigest()


def check_size(profile: Profile) -> None:
    """Check that clips of the profile's size can show the smallest face that it takes.

    Raises:
        PortraitError: the size is too small for any photograph.
    """
    if profile.size < (least := math.ceil(profile.curation.min_iod * FRAME_SIDE_IODS)):
        raise PortraitError(
            f"size={profile.size} must be at least {least} for photographs: a smaller face shows no micro-expression"
        )


@dataclass(frozen=True)
class PhotographSource(ABC):
    """A source whose portraits are photographs below `root`.

    Attributes:
        model: gives the landmark model's path when it is needed.
        limit: at most that many subjects, None for all.
        curation: what `equime curate` found out about them before.
        workers: processes that score them.

    Raises:
        ValueError: a limit below one.
    """

    root: Path
    model: Callable[[], Path]
    _: KW_ONLY
    limit: int | None = None
    curation: CurationTable | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit={self.limit} must be at least 1")

    @abstractmethod
    def pool(self, profile: Profile, seed: int) -> Pool:
        """Candidates in the order in which they are taken, and what the source refuses itself."""

    def survey(self, profile: Profile, seed: int) -> Survey:
        """Examine the candidates; a bad one costs itself.

        Raises:
            PortraitError: the profile's size is too small for any photograph, or mediapipe is not installed.
        """
        pool = self.pool(profile, seed)
        check_size(profile)
        known = self.curation.known() if self.curation else Known()
        job = Job(self.root, self.model(), profile.size)
        references = (candidate.reference for candidate in pool.candidates)
        scored = score_files(job, references, known=known.scores, workers=self.workers)
        wanted = Wanted(profile.curation, profile.size, self.limit, profile.acceptance.reserve)
        return take_survey(pool, scored, wanted, known.estimates, all_of_them=self.curation is not None)

    def portrait(self, subject: Subject, size: int) -> Portrait:
        """Read a surveyed photograph again.

        Raises:
            PortraitError: it is gone or changed since it was planned with.
        """
        data = read_bytes(locate(self.root, subject.reference))
        if sha256(data) != subject.sha256:
            raise PortraitError(f"{subject.reference} is not the picture that the plan was made with")
        assert subject.crop is not None
        assert subject.landmarks is not None
        return Portrait(cut(decode_picture(data), subject.crop, size), subject.landmarks)


def pictures_in(root: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Relative paths of the pictures below a folder, sorted."""
    return (path for path in files_in(root) if Path(path).suffix.lower() in suffixes)
