"""How the figures of this package are written: for people, and for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def number(value: float, *, digits: int = 3) -> str:
    """A figure with a fixed number of decimals, a dash where it is not defined."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}"


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as dicts and lists that JSON holds; null where a number is not finite."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
