"""The judgment: what was measured, and whether it bears out the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from equime_builder.audit.claim import Claim, code
from equime_builder.audit.thresholds import Thresholds
from equime_builder.facs import ACTION_UNITS

ACCEPTED, REJECTED = "accepted", "rejected"


# AUs that tighten the lips or their corners, which cannot be told apart reliably (`scripts/measure_audit.py`): that one
# of them does not show, or that another shows, is no reason to reject a claim of one.
ALIKE = frozenset((14, 23, 24))
# AUs that the landmarks do not show beside others: the corners stay where the chin, the nose or the jaw lead the lips.
MASKED: dict[int, frozenset[int]] = {15: frozenset((9, 17, 20, 26))}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a clip shows; None where it could not be measured.

    Attributes:
        onset, apex, offset: frames of the event (last neutral, peak, first neutral again). duration_ms: between them.
        responses: intensity (0-5 scale) by claimed AU and side, as `L12`, or `12` for the mean of both. others: of each
            AU that is claimed on no side, the stronger side.
        target: the strongest of them; what an `ALIKE` AU shows counts for one that is claimed. off_target: the
            strongest of any other AU, or of a claimed one on the other side, less what may be read of an AU that does
            not act.
        off_au: which that is, as `R12`. residual: share of the peak that remains at the end.
        head_drift: how far the head slides, tilts or comes nearer from the neutral face (`pose.head_drift`), IOD.
        blink: frame at which the lids are closed, None without a blink.
        flow_inside, flow_outside: mean optical flow from neutral to apex where the claimed AUs show, and in the rest of
            the face, IOD. identity: distance of the neutral face's shape from the portrait's, IOD.
        embedding: cosine similarity with the portrait. faces: share of the looked-at frames with a face.
        fps, frames: of the container.
    """

    fps: float
    frames: int
    faces: float
    onset: float | None = None
    apex: float | None = None
    offset: float | None = None
    duration_ms: float | None = None
    responses: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)
    target: float | None = None
    off_target: float | None = None
    off_au: str | None = None
    residual: float | None = None
    head_drift: float | None = None
    blink: int | None = None
    flow_inside: float | None = None
    flow_outside: float | None = None
    identity: float | None = None
    embedding: float | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """A clip's audit: `verdict` "accepted" or "rejected", the `reasons` of a rejection, and what was measured.

    `measured` is None where the clip could not be looked at.
    """

    verdict: str
    reasons: tuple[str, ...]
    measured: Measured | None

    @property
    def accepted(self) -> bool:
        return self.verdict == ACCEPTED

    def labels(self) -> dict[str, Any]:
        """The schema's `audit_*` fields; values to four decimals, which is finer than the landmarks are."""
        m = self.measured
        frames = {name: None if m is None else getattr(m, name) for name in _FRAMES}
        values = {name: None if m is None else getattr(m, name) for name in _VALUES}
        return {
            "audit_verdict": self.verdict,
            "audit_reasons": "; ".join(self.reasons) or None,
            **{_FRAMES[name]: None if found is None else round(found) for name, found in frames.items()},
            **{_VALUES[name]: None if found is None else round(found, 4) for name, found in values.items()},
        }


_FRAMES = {name: f"audit_{name}_frame" for name in ("onset", "apex", "offset", "blink")}
_VALUES = {
    "duration_ms": "audit_duration_ms",
    "target": "audit_target_response",
    "off_target": "audit_off_target_response",
    "residual": "audit_residual",
    "head_drift": "audit_head_drift",
    "flow_inside": "audit_flow_inside",
    "flow_outside": "audit_flow_outside",
    "identity": "audit_identity",
    "embedding": "audit_embedding",
}


def rejected(reason: str) -> Audit:
    """The audit of a clip that cannot be looked at."""
    return Audit(REJECTED, (reason,), None)


def decide(claim: Claim, measured: Measured, thresholds: Thresholds) -> Audit:
    """The verdict, with every reason there is; of AUs and their times nothing is said where the head moves.

    They are read against a still head: one that tilts raises lids and lip corners that nobody raised.
    """
    moves = bool(_head(claim, measured, thresholds))
    checks = (_container, _identity, _head, *(() if moves else (_response, _timing, _course)), _blink)
    reasons = tuple(reason for check in checks for reason in check(claim, measured, thresholds))
    return Audit(REJECTED if reasons else ACCEPTED, reasons, measured)


def _container(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    found = []
    if claim.frames is not None and claim.frames != m.frames:
        found.append(f"frames: {m.frames} in the file, {claim.frames} claimed")
    if claim.fps is not None and abs(claim.fps - m.fps) > 0.01 * claim.fps:
        found.append(f"fps: {m.fps:g} in the file, {claim.fps:g} claimed")
    if m.faces < t.faces:
        found.append(f"no face in {100 * (1 - m.faces):.0f}% of the frames looked at")
    return found


def _identity(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    if m.embedding is not None:
        if m.embedding < t.embedding:
            return [f"another face: similarity {m.embedding:.2f} to the portrait, {t.embedding:g} needed"]
        return []
    if m.identity is not None and m.identity > t.identity:
        return [f"another face: its shape lies {m.identity:.3f} IOD from the portrait's, at most {t.identity:g}"]
    return []


def _response(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    if not claim.aus:
        if m.off_target is not None and m.off_target >= t.least_response:
            return [f"not neutral: {named(m.off_au)} acts at {m.off_target:.1f}"]
        return []
    if m.target is None or m.off_target is None:
        return ["no face at the apex"]
    if m.target < t.least_response:
        return [f"claimed AUs do not show: response {m.target:.2f}, {t.least_response:g} needed"]
    claimed = {a.au for a in claim.aus}
    judged = [a for a in claim.aus if a.au not in ALIKE and not MASKED.get(a.au, frozenset()) & claimed]
    missing = [a for a in judged if m.responses[code(a)] < t.seen * a.intensity]
    reasons = [f"{named(code(a))} does not show: {m.responses[code(a)]:.2f} of {a.intensity:.1f}" for a in missing]
    if m.target < t.lead * m.off_target:
        most = m.target / t.lead
        reasons.append(f"{named(m.off_au)} acts, which is not claimed: {m.off_target:.2f}, at most {most:.2f}")
    return reasons


def named(code: str | None) -> str:
    """An AU with its name: ``R7 (lid tightener)`` of ``R7``."""
    if code is None:
        return "an AU"
    return f"{code} ({ACTION_UNITS[int(code.lstrip('LR'))].name})"


def _timing(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    found: list[str] = []
    if not claim.aus or m.target is None or m.target < t.least_response:
        return found
    for name in ("onset", "apex", "offset"):
        told, seen = getattr(claim, name), getattr(m, name)
        if told is None or seen is None:
            continue
        error = 1000 * (seen - told) / m.fps
        if abs(error) > t.timing_ms:
            found.append(f"{name} at frame {seen:.0f}, {told} claimed: {error:+.0f} ms, at most {t.timing_ms:g}")
    return found


def _course(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    found: list[str] = []
    if not claim.aus or m.target is None or m.target < t.least_response:
        return found
    if m.residual is not None and m.residual > t.residual:
        found.append(
            f"no return to neutral: {100 * m.residual:.0f}% of the peak remains, at most {100 * t.residual:.0f}%"
        )
    if m.duration_ms is not None and m.duration_ms > t.longest_ms:
        found.append(f"too long: {m.duration_ms:.0f} ms, at most {t.longest_ms:g}")
    return found


def _head(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    if m.head_drift is not None and m.head_drift > t.head_drift:
        return [f"the head moves by {m.head_drift:.3f} IOD, at most {t.head_drift:g}"]
    return []


def _blink(claim: Claim, m: Measured, t: Thresholds) -> list[str]:
    if m.blink is None or not claim.aus:
        return []
    spans = ((m.onset, m.offset), (claim.onset, claim.offset))
    if any(first is not None and last is not None and first <= m.blink <= last for first, last in spans):
        return [f"blink inside the event, at frame {m.blink}"]
    return []
