"""Auditing many clips by several processes: verdicts are on disk with their group, so that a killed run goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from equime_builder.audit.auditor import Auditor, open_auditor
from equime_builder.audit.claim import Claim
from equime_builder.audit.identity import open_embedder
from equime_builder.audit.responses import SIGNATURES
from equime_builder.audit.thresholds import Thresholds
from equime_builder.audit.verdict import Audit, Measured, rejected
from equime_builder.manifest import FolderError
from equime_builder.portraits import PortraitError
from equime_builder.processes import as_finished
from equime_builder.quality.clips import READ_ERRORS, PortraitFrom
from equime_builder.records import Record
from equime_loader.files import file_sha256

FORMAT = 2


class Filed(Protocol):
    """A clip in a file: its name in tables, and its bytes."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str:
        """Changes when the bytes may have."""

    def data(self) -> bytes:
        """The bytes of the MP4."""


@dataclass(frozen=True, slots=True)
class Case:
    """A clip to be judged. `portrait` None where it is not at hand."""

    clip: Filed
    claim: Claim
    portrait: PortraitFrom | None = None

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def identity(self) -> str:
        return hashlib.sha256(
            repr((self.clip.identity, self.claim, self.portrait and self.portrait.name)).encode()
        ).hexdigest()


@dataclass(frozen=True, slots=True)
class Bench:
    """What cases are judged with: model files and thresholds; `embedder` None without one."""

    face_model: Path
    thresholds: Thresholds
    embedder: Path | None = None

    def settings(self) -> dict[str, Any]:
        """What a verdict depends on, beside the case."""
        signatures = (resources.files("equime_builder") / SIGNATURES).read_bytes()
        return {
            "format": FORMAT,
            "audit": asdict(self.thresholds),
            "face_model": file_sha256(self.face_model),
            "embedder": None if self.embedder is None else file_sha256(self.embedder),
            "signatures": hashlib.sha256(signatures).hexdigest(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A portrait as the auditor takes it."""

    image: Any


def run(
    groups: Sequence[Sequence[Case]],
    bench: Bench,
    record: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Audit]:
    """Judge every case that the record has not, and return the audits of all, by name, in their order.

    A clip or a picture of it that cannot be read costs itself: it is rejected, with the reason.

    Args:
        groups: cases that one process judges in turn; those of one portrait lie together. A run that is killed has to
            judge again those that it was at.
        record: file of the verdicts; one that was judged otherwise is begun anew.
        progress: called with how many cases are done, and of how many.

    Raises:
        FolderError: a dataset's portrait cannot be had, or the record is something else. WorkerDied.
        PortraitError: mediapipe is not installed.
    """
    asked = {case.name: case.identity for group in groups for case in group}
    kept = Record(record, bench.settings(), "an audit", "how was judged", "signatures", asdict, _audit_of)
    known = kept.resume(asked)
    todo = [[case for case in group if case.name not in known] for group in groups]
    progress(len(known), len(asked))
    judging = partial(judge_group, bench=bench)
    with kept.appending() as keep:
        for judged in as_finished(judging, [g for g in todo if g], workers=workers, kept="the verdicts are kept"):
            known.update(judged)
            keep(judged, asked)
            progress(len(known), len(asked))
    return {name: known[name] for name in asked}


# --- judging


def judge_group(group: Sequence[Case], bench: Bench) -> dict[str, Audit]:
    """Judge the cases of a group, each portrait drawn or read once.

    Raises:
        FolderError: a dataset's portrait cannot be had.
    """
    import cv2

    cv2.setNumThreads(1)
    found: dict[str, Audit] = {}
    portraits: dict[str, _Picture] = {}
    embedder = None if bench.embedder is None else open_embedder(bench.embedder)
    with open_auditor(bench.face_model, bench.thresholds, embedder) as auditor:
        for case in group:
            try:
                if case.portrait is not None and case.portrait.name not in portraits:
                    portraits = {case.portrait.name: _Picture(case.portrait.picture())}
            except PortraitError as error:
                raise FolderError(f"portrait of {case.name}: {error}") from error
            except READ_ERRORS as error:
                found[case.name] = rejected(f"portrait cannot be read: {_words(error)}")
                continue
            found[case.name] = _audit(auditor, case, portraits.get(case.portrait.name) if case.portrait else None)
    return found


def _audit(auditor: Auditor, case: Case, portrait: _Picture | None) -> Audit:
    try:
        video = case.clip.data()
    except READ_ERRORS as error:
        return rejected(f"cannot be read: {_words(error)}")
    return auditor.judge(video, case.claim, portrait)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _audit_of(row: dict[str, Any]) -> Audit:
    measured = None if row["measured"] is None else Measured(**row["measured"])
    return Audit(row["verdict"], tuple(row["reasons"]), measured)
