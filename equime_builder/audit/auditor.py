"""The auditor: looks at the frames of a clip that decide, and judges it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equime_builder.audit import motion, regions
from equime_builder.audit.claim import Claim
from equime_builder.audit.features import HALVES, RIGID, features, flow_between, mean_face
from equime_builder.audit.footage import Footage, Unreadable, read_footage
from equime_builder.audit.identity import Embedder, shape_distance, similarity
from equime_builder.audit.responses import Signatures, shipped_signatures
from equime_builder.audit.thresholds import Thresholds
from equime_builder.audit.timing import Course, fit_event
from equime_builder.audit.verdict import Audit, Measured, decide, rejected
from equime_builder.facs import EXPRESSIVE_AUS, SIDE_PREFIX
from equime_builder.landmarks import Detection, Landmarker, open_landmarker
from equime_builder.portraits import Portrait
from equime_builder.scm import Activation

GRID = 14  # frames over the whole clip that the landmarker looks at
APEX_FRAMES = 3
END = 0.05  # share of the clip that is its end
BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")


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

    def judge(self, video: bytes, claim: Claim, portrait: Portrait | None = None) -> Audit:
        """Audit one encoded clip against its claim; a clip that cannot be looked at is rejected."""
        try:
            footage = read_footage(video)
        except Unreadable as error:
            return rejected(str(error))
        look = _Look(footage, self.landmarker)
        grid = _grid(len(footage))
        found = [frame for frame in grid if look.at(frame)]
        measured = Measured(fps=footage.fps, frames=len(footage), faces=len(found) / len(grid))
        if len(found) >= LEAST_FACES:
            measured = _measure(self, look, found, claim, portrait, measured)
        return decide(claim, measured, self.thresholds)


LEAST_FACES = 4


class _Look:
    """A clip and what the landmarker saw in it, each frame looked at once."""

    def __init__(self, footage: Footage, landmarker: Landmarker) -> None:
        self.footage, self._landmarker = footage, landmarker
        self.seen: dict[int, Detection | None] = {}

    def at(self, frame: int) -> Detection | None:
        if frame not in self.seen:
            self.seen[frame] = self._landmarker.detect(self.footage.rgb(frame))
        return self.seen[frame]

    def all(self, frames: Sequence[int]) -> list[Detection]:
        return [detection for frame in frames if (detection := self.at(frame)) is not None]


def _grid(frames: int) -> list[int]:
    """Frames over the whole clip, three of them in its neutral beginning."""
    lead = motion.lead_frames(frames)
    places = np.concatenate([np.linspace(0, lead - 1, 3), np.linspace(lead, frames - 1, GRID - 3)])
    return sorted({round(float(place)) for place in places})


def _measure(
    auditor: Auditor, look: _Look, found: list[int], claim: Claim, portrait: Portrait | None, measured: Measured
) -> Measured:
    footage, size = look.footage, look.footage.luma.shape[1:]
    lead = [frame for frame in found if frame < motion.lead_frames(len(footage))] or found[:1]
    rest_points = mean_face(look.all(lead)).points
    half = motion.halved(footage.luma)
    blink = _blink(look, half, rest_points, found, auditor.thresholds.blink)
    course, peak, residual = _event(half, rest_points, claim, blink, footage.fps)
    neutral = [frame for frame in lead if blink is None or abs(frame - blink) > _blink_reach(footage.fps)] or lead
    rest = mean_face(look.all(neutral))
    apex_frames = _around(course, peak, len(footage))
    seen = look.all(apex_frames)
    measured = replace(
        measured,
        onset=course.onset,
        apex=course.apex,
        offset=course.offset,
        duration_ms=1000 * (course.offset - course.onset) / footage.fps,
        residual=residual,
        head_drift=_drift(look, found, rest.points),
        blink=blink,
    )
    if seen:
        flow = _flow(footage, neutral, course, apex_frames)
        inside = regions.shown(rest.points, [a.au for a in claim.aus], size) if claim.aus else None
        strength = auditor.signatures.read(features(rest, mean_face(seen), flow))
        measured = replace(measured, **_responses(claim.aus, strength), **_flow_shares(flow, rest.points, inside))
    if portrait is not None:
        measured = replace(measured, **_identity(auditor.embedder, footage, neutral[0], rest.points, portrait))
    return measured


def _blink_reach(fps: float) -> int:
    """Frames from the closed lids to where they are open again."""
    return round(0.15 * fps)


def _blink(
    look: _Look, half: NDArray[np.float32], points: regions.Points, found: Sequence[int], threshold: float
) -> int | None:
    """The frame of most closed lids, where that is a blink: frames of the grid, and that of most change at the eyes."""
    change = motion.changes(half, regions.lids(points, look.footage.luma.shape[1:]))
    energy = motion.smoothed(np.einsum("tn,tn->t", change, change).astype(np.float64))
    frames = sorted({*found, int(np.argmax(energy))})
    closed = {frame: min(d.blendshapes[name] for name in BLINKS) for frame in frames if (d := look.at(frame))}
    open_score = float(np.median(list(closed.values())))
    most = max(closed, key=lambda frame: closed[frame])
    return most if closed[most] - open_score >= threshold else None


def _event(
    half: NDArray[np.float32], points: regions.Points, claim: Claim, blink: int | None, fps: float
) -> tuple[Course, int, float]:
    """The event where the claimed AUs show (for a neutral claim: anywhere but the lids), its peak, what remains."""
    size = (half.shape[1] * 2, half.shape[2] * 2)
    aus = [a.au for a in claim.aus]
    where = regions.shown(points, aus, size) if aus else regions.face(points, size) & ~regions.lids(points, size)
    reach = _blink_reach(fps)
    lids_matter = blink is not None and bool(regions.LID_AUS & set(aus))
    shut = range(max(0, blink - reach), min(len(half), blink + reach + 1)) if lids_matter and blink is not None else ()
    curve, peak = motion.response(motion.changes(half, where), shut)
    course = fit_event(curve, peak)
    end = curve[-max(3, round(END * len(curve))) :]
    remains = abs(float(np.mean(end)) - course.before) / max(course.height, 1e-6)
    return course, peak, remains


def _around(course: Course, peak: int, frames: int) -> list[int]:
    """Frames of the plateau, or around the peak."""
    middle = (course.apex + course.hold) / 2
    if not abs(middle - peak) <= max(4.0, course.hold - course.apex):
        middle = peak
    first = min(max(0, round(middle) - APEX_FRAMES // 2), frames - APEX_FRAMES)
    return list(range(first, first + APEX_FRAMES))


def _flow(footage: Footage, neutral: Sequence[int], course: Course, apex: Sequence[int]) -> NDArray[np.float32]:
    rise = round((course.onset + course.apex) / 2)
    stations = [neutral, [rise], apex] if min(apex) > rise > max(neutral) else [neutral, apex]
    return flow_between([_mean_luma(footage, frames) for frames in stations])


def _mean_luma(footage: Footage, frames: Sequence[int]) -> NDArray[np.uint8]:
    return np.round(footage.luma[list(frames)].mean(axis=0)).astype(np.uint8)


def _responses(aus: Sequence[Activation], strength: NDArray[np.float64]) -> dict[str, object]:
    """Claimed AUs on their sides, and the strongest of what is not claimed."""
    responses: dict[int, float] = {}
    rest = strength.copy()
    for claimed in aus:
        column = EXPRESSIVE_AUS.index(claimed.au)
        rows = [0, 1] if claimed.side == "both" else [HALVES.index(claimed.side)]
        responses[claimed.au] = float(strength[rows, column].mean())
        rest[rows, column] = 0
    half, column = (int(place) for place in np.unravel_index(int(np.argmax(rest)), rest.shape))
    return {
        "responses": responses,
        "target": max(responses.values(), default=None),
        "off_target": float(rest[half, column]),
        "off_au": f"{SIDE_PREFIX['left' if half else 'right']}{EXPRESSIVE_AUS[column]}",
    }


def _flow_shares(
    flow: NDArray[np.float32], points: regions.Points, inside: regions.Mask | None
) -> dict[str, float | None]:
    unit, size = regions.iod(points), flow.shape[:2]
    steady = flow - np.median(flow[_pixels(points[list(RIGID)], size)], axis=0)
    length = np.linalg.norm(steady, axis=2) / unit
    face = regions.face(points, (size[0], size[1]))
    if inside is None:
        return {"flow_inside": None, "flow_outside": float(length[face].mean())}
    outside = face & ~inside
    return {
        "flow_inside": float(length[inside].mean()),
        "flow_outside": float(length[outside].mean()) if outside.any() else None,
    }


def _pixels(points: regions.Points, size: Sequence[int]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    x = np.clip(np.round(points[:, 0]).astype(int), 0, size[1] - 1)
    return np.clip(np.round(points[:, 1]).astype(int), 0, size[0] - 1), x


def _drift(look: _Look, frames: Sequence[int], rest: regions.Points) -> float:
    """95th percentile over the frames of the head's motion from the neutral face, IOD."""
    shifts = [np.median(d.landmarks[list(RIGID)] - rest[list(RIGID)], axis=0) for d in look.all(frames)]
    return float(np.percentile(np.linalg.norm(shifts, axis=1), 95) / regions.iod(rest))


def _identity(
    embedder: Embedder | None, footage: Footage, frame: int, points: regions.Points, portrait: Portrait
) -> dict[str, float]:
    found = {"identity": shape_distance(portrait.landmarks, points)}
    if embedder is not None:
        found["embedding"] = similarity(embedder(portrait.image), embedder(footage.rgb(frame)))
    return found
