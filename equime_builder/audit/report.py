"""Audits as tables: one row per clip, shares by emotion and AU, and the annotation of a dataset."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from equime_builder.audit.claim import Claim, code
from equime_builder.audit.verdict import Audit, Measured
from equime_builder.facs import letter
from equime_loader.schema import FIELD

_NUMBERS = tuple(field.name for field in fields(Measured) if field.name not in ("responses", "others", "off_au"))


@dataclass(frozen=True, slots=True)
class Judged:
    """A clip's name, what was claimed of it, its emotion (empty where nobody says), and its audit."""

    name: str
    claim: Claim
    emotion: str
    audit: Audit

    @property
    def au_text(self) -> str:
        """The claimed AUs in FACS notation."""
        return "+".join(code(a) + letter(a.intensity) for a in self.claim.aus) or "0"


@dataclass(frozen=True, slots=True)
class Share:
    """How many clips of a group were accepted, and the most frequent kind of reason among the rest."""

    group: str
    clips: int
    accepted: int
    most: str


def table(judged: Iterable[Judged]) -> pa.Table:
    """A row per clip: name, claim, verdict, reasons, everything that was measured; responses as `4:1.52 L12:0.80`."""
    rows = []
    for one in judged:
        measured = asdict(one.audit.measured) if one.audit.measured else {}
        rows.append(
            {
                "file": one.name,
                "emotion": one.emotion or None,
                "aus": one.au_text,
                **{f"claimed_{name}": getattr(one.claim, name) for name in ("onset", "apex", "offset")},
                "verdict": one.audit.verdict,
                "reasons": "; ".join(one.audit.reasons) or None,
                **{name: measured.get(name) for name in _NUMBERS},
                "off_au": measured.get("off_au"),
                **{name: _spelled(measured.get(name)) for name in ("responses", "others")},
            }
        )
    return pa.Table.from_pylist(rows) if rows else pa.table({"file": pa.array([], pa.string())})


def _spelled(values: Mapping[str, float] | None) -> str | None:
    return " ".join(f"{name}:{value:.2f}" for name, value in values.items()) if values else None


def write_table(rows: pa.Table, path: Path) -> bytes:
    """The bytes of a report table, as Parquet or CSV by the file's suffix.

    Raises:
        ValueError: another suffix.
    """
    target = io.BytesIO()
    if path.suffix == ".parquet":
        pq.write_table(rows, target)
    elif path.suffix == ".csv":
        pcsv.write_csv(rows, target)
    else:
        raise ValueError(f"{path}: a report's name must end in .csv or .parquet")
    return target.getvalue()


def annotation(judged: Iterable[Judged]) -> pa.Table:
    """The annotation `audit` of a dataset: by key, the schema's `audit_*` fields."""
    rows = [{"key": one.name, **one.audit.labels()} for one in judged]
    names = [name for name in FIELD if name.startswith("audit_")]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("key", pa.string()), *((name, FIELD[name].kind) for name in names)])
    )


def shares(judged: Sequence[Judged]) -> list[Share]:
    """All clips, then by emotion, then by AU that is claimed."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        for group in _groups(one):
            groups[group].append(one)
    return [_share(name, groups[name]) for name in sorted(groups, key=_rank)]


def _groups(one: Judged) -> Iterator[str]:
    yield "all"
    if one.emotion:
        yield one.emotion
    yield from dict.fromkeys(f"AU{a.au}" for a in one.claim.aus)


def _rank(group: str) -> tuple[int, int, str]:
    if group == "all":
        return 0, 0, ""
    return (2, int(group[2:]), "") if group.startswith("AU") else (1, 0, group)


def _share(name: str, members: Sequence[Judged]) -> Share:
    kinds = Counter(kind(reason) for one in members for reason in one.audit.reasons)
    most = f"{kinds.most_common(1)[0][0]} ({kinds.most_common(1)[0][1]})" if kinds else ""
    return Share(name, len(members), sum(one.audit.accepted for one in members), most)


def kind(reason: str) -> str:
    """What a reason speaks of, without its figures: ``no return to neutral``."""
    if ") does not show" in reason:
        return "a claimed AU does not show"
    if "which is not claimed" in reason:
        return "an AU acts that is not claimed"
    if reason.startswith(("onset", "apex", "offset")):
        return "event beside its label"
    return reason.split(":", maxsplit=1)[0].split(" by ", maxsplit=1)[0].split(", at ", maxsplit=1)[0]
