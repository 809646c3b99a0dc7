"""Where the audit draws its lines: the profile section `[audit]`."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds of an acceptable clip. The defaults are calibrated with `scripts/measure_audit.py`.

    Attributes:
        least_response: intensity (0-5 scale) that at least one claimed AU must show.
        seen: share of its claimed intensity that each claimed AU must show.
        lead: the strongest claimed AU must show at least this many times the strongest of any other, of which what
            may be read of an AU that does not act is taken off.
        longest_ms: of the event. 500 ms is the bound of an ME (Yan et al. 2013); the rest is measurement.
        timing_ms: how far onset, apex and offset may lie from the labels.
        residual: largest share of the peak that may remain at the end.
        head_drift: how far the head may slide, tilt or come nearer, in inter-ocular distances (IOD): 4 degrees, 7%.
        blink: share of their opening by which both eyes' lids must close to count as a blink.
        identity: largest distance of the neutral face's shape from the portrait's, IOD.
        embedding: least cosine similarity with the portrait, where an embedder is given; 0.363 is SFace's own bound.
        faces: least share of the frames looked at in which a face is found.
    """

    least_response: float = 0.5
    seen: float = 0.3
    lead: float = 2.5
    longest_ms: float = 560.0
    timing_ms: float = 80.0
    residual: float = 0.35
    head_drift: float = 0.05
    blink: float = 0.5
    identity: float = 0.02
    embedding: float = 0.363
    faces: float = 0.9

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), BOUNDS[field.name]
            if not low <= value <= high:
                raise ValueError(f"audit.{field.name}={value} must lie within {low:g}..{high:g}")


BOUNDS: dict[str, tuple[float, float]] = {
    "least_response": (0, 5),
    "seen": (0, 1),
    "lead": (0, 100),
    "longest_ms": (1, 60_000),
    "timing_ms": (1, 60_000),
    "residual": (0, 10),
    "head_drift": (0, 10),
    "blink": (0.05, 1),
    "identity": (0, 10),
    "embedding": (-1, 1),
    "faces": (0, 1),
}
