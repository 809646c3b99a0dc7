"""The audit: what a finished, encoded clip shows, against what its label claims.

`claim` says what is claimed, `thresholds` where the line runs, `auditor` looks at a clip, `verdict` judges. In between,
all pure: `footage` (frames), `motion` (what moved, when), `timing` (onset, apex, offset of a curve), `features` and
`responses` (which AUs answered), `regions` (where they show), `identity` (whose face).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equime_builder.audit.auditor import Auditor, open_auditor
    from equime_builder.audit.claim import Claim
    from equime_builder.audit.thresholds import Thresholds
    from equime_builder.audit.verdict import Audit

__all__ = ["Audit", "Auditor", "Claim", "Thresholds", "open_auditor"]

_HOMES = {"Audit": "verdict", "Auditor": "auditor", "Claim": "claim", "Thresholds": "thresholds"} | {
    "open_auditor": "auditor"
}


def __getattr__(name: str) -> Any:
    # Profiles hold thresholds, and the auditor knows programs, which know profiles: names are looked up when used.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
