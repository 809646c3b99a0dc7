"""The auditor: looks at the frames of a clip that decide, and judges it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equime_builder.audit import motion, regions
from equime_builder.audit.claim import Claim, code
from equime_builder.audit.features import HALVES, RIGID, Face, lid_gap
from equime_builder.audit.footage import Footage, Unreadable, read_footage
from equime_builder.audit.identity import Embedder, aligned, shape_distance, similarity
from equime_builder.audit.looking import Look, grid
from equime_builder.audit.pose import head_drift
from equime_builder.audit.responses import Signatures, shipped_signatures
from equime_builder.audit.thresholds import Thresholds
from equime_builder.audit.timing import Course, Curve, fit_event
from equime_builder.audit.verdict import ALIKE, Audit, Measured, decide, rejected
from equime_builder.facs import ACTION_UNITS, EXPRESSIVE_AUS, SIDE_PREFIX
from equime_builder.landmarks import Detection, Landmarker, inter_ocular, open_landmarker
from equime_builder.scm import Activation

LEAST_FACES = 4  # frames with a face, below which nothing more is measured
NEUTRAL_FRAMES = 4
END = 0.05  # share of the clip that is its end
APEX_S, MOST_APEX = 0.012, 2  # seconds and frames to either side of the apex that are still the apex
LIDS_OPEN_S = 0.15  # from closed lids to lids that are open again, either way


class Pictured(Protocol):
    """A subject's neutral face: a `portraits.Portrait`, or any picture."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        ...


@contextmanager
def open_auditor(face_model: Path, thresholds: Thresholds, embedder: Embedder | None = None) -> Iterator[Auditor]:
    """An auditor for the time of a block.

    Args:
        face_model: FaceLandmarker's file.
        embedder: a face recognition model; without one, faces are compared by the shape of their landmarks.

    Raises:
        PortraitError: mediapipe is not installed.
    """
    with open_landmarker(face_model) as landmarker:
        yield Auditor(landmarker, thresholds, shipped_signatures(), embedder)


@dataclass(frozen=True, slots=True)
class Auditor:
    """Judges clips; nothing is kept from one to the next, so the same bytes get the same verdict."""

    landmarker: Landmarker
    thresholds: Thresholds
    signatures: Signatures
    embedder: Embedder | None = None

    def judge(self, video: bytes, claim: Claim, portrait: Pictured | None = None) -> Audit:
        """Audit one encoded clip against its claim and its subject's portrait.

        A clip that cannot be looked at is rejected, as is one whose portrait shows no face to compare with; nothing is
        raised for what a file may hold.
        """
        try:
            footage = read_footage(video)
        except Unreadable as error:
            return rejected(str(error))
        known = None if portrait is None else self.landmarker.detect(portrait.image)
        if portrait is not None and known is None:
            return rejected("no face in the portrait")
        look, frames = Look(footage, self.landmarker), grid(len(footage))
        found = look.found(frames)
        measured = Measured(fps=footage.fps, frames=len(footage), faces=len(found) / len(frames))
        if len(found) >= LEAST_FACES:
            event = _event(look, found, claim, self.thresholds.blink)
            measured = replace(
                measured,
                **_course(event, footage.fps),
                **_responses(look, event, claim.aus, self.signatures),
                head_drift=head_drift([seen.landmarks for seen in found.values()], event.rest.points),
                **self._identity(look, event, portrait, known),
            )
        return decide(claim, measured, self.thresholds)

    def _identity(self, look: Look, event: Event, portrait: Pictured | None, known: Detection | None) -> dict[str, Any]:
        """Shape and, with an embedder, similarity of the neutral face and the portrait, `known` by the same model."""
        if portrait is None or known is None:
            return {}
        found = {"identity": shape_distance(known.landmarks, event.rest.points)}
        if self.embedder is not None:
            face = aligned(look.footage.rgb(event.neutral[0]), event.rest.points)
            found["embedding"] = similarity(
                self.embedder(aligned(portrait.image, known.landmarks)), self.embedder(face)
            )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Where the event lies: its course, neutral frames and their mean face, frames of the apex, what remains, blink."""

    course: Course
    neutral: tuple[int, ...]
    rest: Face
    apex: tuple[int, ...]
    remains: float
    blink: int | None


def _event(look: Look, found: Mapping[int, Detection], claim: Claim, closed: float) -> Event:
    """The event where the claimed AUs show; for a neutral claim anywhere in the face but the lids."""
    footage, frames = look.footage, len(look.footage)
    size = (footage.luma.shape[1], footage.luma.shape[2])
    lead = range(motion.lead_frames(frames))
    first = found[min(found)].landmarks
    half = motion.halved(footage.luma)
    lids = motion.energy(motion.changes(half, regions.lids(first, size), range(frames)))
    blink = _blink(look, lids, range(frames), found, closed)
    shut = _shut(blink, footage.fps, frames)
    aus = [activation.au for activation in claim.aus]
    where = regions.shown(first, aus, size) if aus else regions.face(first, size) & ~regions.lids(first, size)
    change = motion.changes(half, where, [frame for frame in lead if frame not in shut] or lead)
    without = shut if regions.LID_AUS & set(aus) else range(0)
    curve, peak = motion.response(change, without)
    course = fit_event(curve, peak, without)
    end = curve[-max(3, round(END * frames)) :]
    remains = abs(float(end.mean()) - course.before) / max(course.height, 1e-6)
    before = [frame for frame in found if frame <= course.onset] or [min(found)]
    neutral = tuple([frame for frame in before if frame not in shut] or before)[:NEUTRAL_FRAMES]
    rest = look.face(neutral)
    assert rest is not None  # the frames are among those that show a face
    during = range(math.floor(course.onset), min(math.ceil(course.offset) + 1, frames))
    inside = _blink(look, lids, during, found, closed)
    blink = blink if inside is None else inside
    return Event(course, neutral, rest, _around(course, peak, footage), remains, blink)


def _blink(look: Look, lids: Curve, during: range, found: Mapping[int, Detection], closed: float) -> int | None:
    """The frame of most closed lids in a span, where that is a blink: of the grid, or that of most change there."""
    busiest = during.start + int(np.argmax(lids[during.start : during.stop]))
    gaps = {frame: lid_gap(seen.landmarks) for frame, seen in {**found, **look.found([busiest])}.items()}
    least = (1 - closed) * float(np.median(list(gaps.values())))
    shut = [frame for frame, gap in gaps.items() if frame in during and gap <= least]
    return min(shut, key=lambda frame: gaps[frame], default=None)


def _shut(blink: int | None, fps: float, frames: int) -> range:
    """Frames in which a blink moves the lids."""
    if blink is None:
        return range(0)
    reach = round(LIDS_OPEN_S * fps)
    return range(max(0, blink - reach), min(frames, blink + reach + 1))


def _around(course: Course, peak: int, footage: Footage) -> tuple[int, ...]:
    """Frames in the middle of the plateau; around the peak where the fit went elsewhere."""
    middle = (course.apex + course.hold) / 2
    if abs(middle - peak) > max(4.0, course.hold - course.apex):
        middle = peak
    reach = min(round(APEX_S * footage.fps), MOST_APEX)
    return tuple(range(max(0, round(middle) - reach), min(len(footage), round(middle) + reach + 1)))


def _course(event: Event, fps: float) -> dict[str, Any]:
    course = event.course
    return {
        "onset": course.onset,
        "apex": course.apex,
        "offset": course.offset,
        "duration_ms": 1000 * (course.offset - course.onset) / fps,
        "residual": event.remains,
        "blink": event.blink,
    }


def _responses(look: Look, event: Event, aus: Sequence[Activation], signatures: Signatures) -> dict[str, Any]:
    """Claimed AUs on their sides, the strongest of what is not claimed, and the flow; nothing without a face."""
    apex = look.face(event.apex)
    if apex is None:
        return {}
    rise = round((event.course.onset + event.course.apex) / 2)
    between = [rise] if max(event.neutral) < rise < min(event.apex) else []
    features, flow = look.compare(event.rest, apex, between)
    rest = signatures.read(features)
    responses: dict[str, float] = {}
    shown: list[float] = []
    explained = np.zeros(rest.shape, bool)
    for claimed in aus:
        columns = [EXPRESSIVE_AUS.index(au) for au in (ALIKE if claimed.au in ALIKE else (claimed.au,))]
        rows = [0, 1] if claimed.side == "both" else [HALVES.index(claimed.side)]
        read = rest[np.ix_(rows, columns)].mean(axis=0)
        responses[code(claimed)] = float(rest[rows, EXPRESSIVE_AUS.index(claimed.au)].mean())
        shown.append(float(read.max()))
        for column in columns:
            explained[rows if ACTION_UNITS[EXPRESSIVE_AUS[column]].lateral else [0, 1], column] = True
    acting = {claimed.au for claimed in aus}
    others = {str(au): float(rest[:, k].max()) for k, au in enumerate(EXPRESSIVE_AUS) if au not in acting}
    rest[explained] = 0
    rest = np.maximum(rest - signatures.mistaken, 0)
    half, column = (int(place) for place in np.unravel_index(int(np.argmax(rest)), rest.shape))
    return {
        "responses": responses,
        "others": others,
        "target": max(shown, default=None),
        "off_target": float(rest[half, column]),
        "off_au": f"{SIDE_PREFIX[HALVES[half]]}{EXPRESSIVE_AUS[column]}",
        **_flow_shares(flow, event.rest.points, aus),
    }


def _flow_shares(
    flow: NDArray[np.float32], points: regions.Points, aus: Sequence[Activation]
) -> dict[str, float | None]:
    """Mean length of the flow where the claimed AUs show and in the rest of the face, the head's shift taken out."""
    size = (flow.shape[0], flow.shape[1])
    x, y = (np.clip(np.round(points[list(RIGID), k]).astype(int), 0, size[1 - k] - 1) for k in (0, 1))
    length = np.linalg.norm(flow - np.median(flow[y, x], axis=0), axis=2) / inter_ocular(points)
    face = regions.face(points, size)
    inside = face & regions.shown(points, [a.au for a in aus], size) if aus else np.zeros_like(face)
    return {
        name: float(length[where].mean()) if where.any() else None
        for name, where in (("flow_inside", inside), ("flow_outside", face & ~inside))
    }
