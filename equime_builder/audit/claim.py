"""What a label claims of a clip: which AUs act, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equime_builder.facs import ACTION_UNITS, EXPRESSIVE_AUS, LETTERS, SIDE_PREFIX, Side
from equime_builder.scm import Activation

# Intensity of an AU that is coded without a letter: B, the middle of what micro-expressions show.
UNCODED = 2.0
_SIDE: dict[str, Side] = {prefix: side for side, prefix in SIDE_PREFIX.items()}
_CODE = re.compile(r"(?:AU)?([LR]?)(?:AU)?(\d{1,2})([A-E]?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claim:
    """A clip's label, as far as frames can confirm it.

    Attributes:
        aus: the AUs that act, with side and intensity; empty for a neutral clip.
        onset, apex, offset: frames of the event, None where nobody says.
        fps, frames: rate and length that the container must have, None where nobody says.

    Raises:
        ValueError: frames out of order, or a rate or length that no clip has.
    """

    aus: tuple[Activation, ...]
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    fps: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        given = [frame for frame in (self.onset, self.apex, self.offset) if frame is not None]
        if given != sorted(given) or (given and given[0] < 0):
            raise ValueError(f"onset={self.onset}, apex={self.apex}, offset={self.offset} must not decrease from 0")
        if self.fps is not None and not 0 < self.fps <= 10_000:
            raise ValueError(f"fps={self.fps} must be above 0 and at most 10000")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames={self.frames} must be at least 1")

    @classmethod
    def from_labels(cls, labels: Mapping[str, Any]) -> Claim:
        """The claim of a sample's labels or of a row of the index."""
        aus = tuple(Activation(int(a["au"]), float(a["intensity"]), a["side"]) for a in labels["aus"] or ())
        return cls(
            aus,
            onset=_frame(labels["onset_frame"]),
            apex=_frame(labels["apex_frame"]),
            offset=_frame(labels["offset_frame"]),
            fps=float(labels["fps"]),
            frames=int(labels["frames"]),
        )


def code(activation: Activation) -> str:
    """An AU with its side as FACS writes it: ``L12``, ``12`` for both sides."""
    return f"{SIDE_PREFIX[activation.side]}{activation.au}"


def _frame(value: Any) -> int | None:
    return None if value is None else int(value)


def parse_aus(text: str) -> tuple[Activation, ...]:
    """AUs in FACS notation, as in ``4B+L12`` or ``AU1+AU2``; ``0`` and an empty text are none.

    A letter before the number is the side (subject's), one after it the intensity.

    Raises:
        ValueError: what is not FACS notation, or an AU that is not known.
    """
    text = text.strip()
    if text in ("", "0"):
        return ()
    return tuple(_activation(part.strip(), text) for part in re.split(r"[+,;\s]+", text) if part.strip())


def _activation(code: str, text: str) -> Activation:
    found = _CODE.fullmatch(code)
    if not found:
        raise ValueError(f"aus={text!r}: {code!r} does not read as an AU; known: L12, 4B, AU1, joined by +")
    side, au, grade = _SIDE[found[1].upper()], int(found[2]), found[3].upper()
    if au not in EXPRESSIVE_AUS:
        raise ValueError(f"aus={text!r}: AU{au} is not known; known: {', '.join(map(str, EXPRESSIVE_AUS))}")
    if not ACTION_UNITS[au].lateral:
        side = "both"
    return Activation(au, float(LETTERS.index(grade) + 1) if grade else UNCODED, side)
