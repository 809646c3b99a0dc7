"""The form with which people ask for access: a part of the card's metadata, from `dataset_card/gate.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

TEMPLATE = "gate.yaml"
FIELDS = "extra_gated_fields"
CHECKBOX = "checkbox"


def gate_metadata() -> dict[str, Any]:
    """The keys `extra_gated_*` of the card; the gate itself is a setting of the repository."""
    text = (resources.files("dataset_card") / TEMPLATE).read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@cache
def gate_fields() -> Mapping[str, str]:
    """Kind of each field of the form by its label, in the form's order: `text`, `select` or `checkbox`."""
    fields = gate_metadata()[FIELDS]
    kinds = {label: kind if isinstance(kind, str) else str(kind["type"]) for label, kind in fields.items()}
    return MappingProxyType(kinds)
