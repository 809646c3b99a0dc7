"""What the sources of photographs share: reading, landmarks, cropping, and reasons for what is left out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from equime_builder.landmarks import FRAME_SIDE_IODS, MIN_IOD, cut, examine, open_landmarker
from equime_builder.pictures import decode_picture, read_bytes, sha256
from equime_builder.portraits import Attributes, Portrait, PortraitError, Rejection, Subject, Survey


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photograph before it is examined. `subject` is derived from its bytes where it is None."""

    reference: str
    attributes: Attributes
    subject: str | None = None
    person: str | None = None


def check_limit(limit: int | None) -> None:
    """Check how many subjects are wanted at most; None is all.

    Raises:
        ValueError: less than one.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"{limit=} must be at least 1")


def locate(root: Path, reference: str) -> Path:
    """Path of a reference inside a source folder.

    Raises:
        PortraitError: the reference leads out of the folder or nowhere, or is no Unicode, which no plan can hold.
    """
    try:
        reference.encode()
    except UnicodeEncodeError as error:
        raise PortraitError("the file's name is not UTF-8; rename it") from error
    link = root / reference
    if link.is_symlink() and not link.exists():
        raise PortraitError("a broken link: the file that it names does not exist")
    path = link.resolve()
    if not path.is_relative_to(root.resolve()):
        raise PortraitError("leads out of the portrait folder")
    return path


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


def survey(
    root: Path,
    candidates: Iterable[Candidate],
    *,
    model: Path,
    size: int,
    licence: str,
    limit: int,
    rejections: Iterable[Rejection] = (),
) -> Survey:
    """Examine candidates in their order until `limit` subjects are found; a bad one costs itself.

    Raises:
        PortraitError: `size` is too small for any photograph.
    """
    if size < (least := math.ceil(MIN_IOD * FRAME_SIDE_IODS)):
        raise PortraitError(
            f"{size=} must be at least {least} for photographs: a smaller face shows no micro-expression"
        )
    subjects: dict[str, Subject] = {}
    rejected = list(rejections)
    with open_landmarker(model) as landmarker:
        for candidate in candidates:
            if len(subjects) == limit:
                break
            try:
                data = read_bytes(locate(root, candidate.reference))
                digest = sha256(data)
                name = candidate.subject or f"s{digest[:10]}"
                if name in subjects:
                    raise PortraitError(f"same picture as {subjects[name].reference}")
                crop, detection = examine(landmarker, decode_picture(data), size)
            except PortraitError as error:
                rejected.append(Rejection(candidate.reference, str(error)))
                continue
            person = candidate.person or name
            subjects[name] = Subject(
                name,
                person,
                candidate.reference,
                candidate.attributes,
                licence,
                digest,
                crop,
                detection.landmarks,
            )
    return Survey(tuple(subjects.values()), tuple(rejected))


def load_portrait(root: Path, subject: Subject, size: int) -> Portrait:
    """Read a surveyed photograph again.

    Raises:
        PortraitError: it is gone or changed since it was planned with.
    """
    data = read_bytes(locate(root, subject.reference))
    if sha256(data) != subject.sha256:
        raise PortraitError(f"{subject.reference} is not the picture that the plan was made with")
    assert subject.crop is not None
    assert subject.landmarks is not None
    return Portrait(cut(decode_picture(data), subject.crop, size), subject.landmarks)


def pictures_in(root: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Relative paths of the pictures below a folder, sorted."""
    return (path for path in files_in(root) if Path(path).suffix.lower() in suffixes)


def files_in(root: Path) -> Iterator[str]:
    """Relative paths of all files and broken links below a folder, sorted; nothing hidden or in hidden folders."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        broken = path.is_symlink() and not path.exists()
        if (path.is_file() or broken) and not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix()
