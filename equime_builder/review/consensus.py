"""What reviewers say together: one row per clip for the index, and the exported table of every judgment.

Nothing here holds a name: reviewers are `R01`, `R02` … in the order in which they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from equime_builder.review.judgments import VERDICTS
from equime_builder.review.sample import Settings
from equime_builder.review.store import Kept
from equime_loader.files import replacing
from equime_loader.schema import FIELD, REVIEW_VERDICTS

ACCEPTED, REJECTED, TIED = REVIEW_VERDICTS
COLUMNS = (
    *("review_count", "review_mode", "review_verdict", "review_accepted"),
    *("review_label", "review_label_share", "review_aus", "review_confidence"),
)
EXPORT = pa.schema(
    [
        *(("number", pa.int64()), ("reviewer", pa.string()), ("key", pa.string()), ("mode", pa.string())),
        *(("verdict", pa.string()), ("label", pa.string()), ("aus", pa.list_(pa.int16()))),
        *(("confidence", pa.int16()), ("notes", pa.string())),
        *(("judged_at", pa.timestamp("s", "UTC")), ("counts", pa.bool_())),
    ]
)
# A spreadsheet takes a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the reviewers of one clip say together.

    Attributes:
        count: of reviewers. verdict: of most of them, or `tied`. accepted: share of them.
        label: the emotion that more saw than any other (`cannot tell` among the answers), None where none or unclear.
        label_share: share of them that saw it, None where it is None.
        aus: AUs that more than half saw. confidence: mean.
    """

    count: int
    verdict: str
    accepted: float
    label: str | None
    label_share: float | None
    aus: tuple[int, ...]
    confidence: float


def pseudonym(reviewer: int) -> str:
    """``R01`` for the first reviewer who came."""
    return f"R{reviewer:02d}"


def opinion(kept: Sequence[Kept]) -> Opinion:
    """The opinion of the reviewers of a clip, from their last judgments of it, at least one."""
    said = [one.judgment for one in kept]
    accepted = sum(one.verdict == VERDICTS[0] for one in said)
    twice = 2 * accepted
    verdict = ACCEPTED if twice > len(said) else REJECTED if twice < len(said) else TIED
    ranked = Counter(one.label for one in said).most_common(2)
    clear = len(ranked) == 1 or ranked[0][1] > ranked[1][1]
    label = ranked[0][0] if clear else None
    seen = Counter(au for one in said for au in one.aus)
    return Opinion(
        len(said),
        verdict,
        accepted / len(said),
        label,
        None if label is None else ranked[0][1] / len(said),
        tuple(sorted(au for au, count in seen.items() if 2 * count > len(said))),
        float(np.mean([one.confidence for one in said])),
    )


def by_clip(kept: Iterable[Kept]) -> dict[str, list[Kept]]:
    """The judgments that count, by key, keys sorted."""
    clips: dict[str, list[Kept]] = {}
    for one in kept:
        if one.counts:
            clips.setdefault(one.judgment.clip, []).append(one)
    return dict(sorted(clips.items()))


def annotation_table(kept: Iterable[Kept], settings: Settings) -> pa.Table:
    """The review's columns of the index, one row per judged clip."""
    opinions = {key: opinion(said) for key, said in by_clip(kept).items()}
    mode = "blind" if settings.blind else "open"
    rows = [
        {"key": key, "review_mode": mode}
        | {f"review_{name}": getattr(one, name) for name in Opinion.__slots__ if name != "aus"}
        | {"review_aus": list(one.aus)}
        for key, one in opinions.items()
    ]
    schema = pa.schema([("key", pa.string()), *((name, FIELD[name].kind) for name in COLUMNS)])
    return pa.Table.from_pylist(rows, schema=schema)


def export_table(kept: Iterable[Kept], settings: Settings) -> pa.Table:
    """Every judgment that was made, corrected ones too (`counts` false), reviewers by pseudonym."""
    rows = [
        {
            "number": one.number,
            "reviewer": pseudonym(one.reviewer),
            "key": one.judgment.clip,
            "mode": "blind" if settings.blind else "open",
            "judged_at": int(one.seconds),
            "counts": one.counts,
            "aus": list(one.judgment.aus),
            **{name: getattr(one.judgment, name) for name in ("verdict", "label", "confidence", "notes")},
        }
        for one in kept
    ]
    return pa.Table.from_pylist(rows, schema=EXPORT)


def write_export(table: pa.Table, target: Path) -> None:
    """Write the exported table. In CSV, AUs read `1+4`; notes that a spreadsheet would run begin with an apostrophe.

    Raises:
        ValueError: a suffix other than .parquet and .csv.
    """
    suffix = target.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise ValueError(f"export={target.name}: suffix {target.suffix!r} must be .parquet or .csv")
    with replacing(target) as temporary:
        if suffix == ".parquet":
            pq.write_table(table, temporary, compression="zstd")
        else:
            pyarrow.csv.write_csv(_flat(table), temporary)


def _flat(table: pa.Table) -> pa.Table:
    aus = ["+".join(map(str, numbers)) for numbers in table["aus"].to_pylist()]
    notes = [f"'{note}" if note.startswith(FORMULA) else note for note in table["notes"].to_pylist()]
    at = table["judged_at"].cast(pa.timestamp("s")).cast(pa.string())
    for name, values in (("aus", pa.array(aus)), ("notes", pa.array(notes)), ("judged_at", at)):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table
