"""Tables of the card and the datasheet, in Markdown, from a folder's plan, index and shards' lines."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from equime_builder.acceptance import Acceptance, Judged, Row
from equime_builder.documents.changes import DELETE, change_in_words, left_in_words, must_delete
from equime_builder.documents.markdown import table
from equime_builder.documents.measures import measures
from equime_builder.documents.words import LIST_LETTERS, plain
from equime_builder.plan import Plan, changes_of
from equime_loader.fairness.bias import Association, BiasReport, Representation, bias_report
from equime_loader.fairness.figures import number
from equime_loader.index import Codes
from equime_loader.schema import FIELD, SPLITS

ATTRIBUTES = ("apparent_gender", "apparent_race", "age_group")
TIMES = ("onset", "apex", "offset")
MOST_REASONS = 12
JUDGED = (
    "What was judged are the frames of the encoded clips. Accepted means that the labeled AUs act and others do not, "
    "that onset, apex and offset lie near their labels, that the face returns to neutral, that head and identity keep "
    "still, and that no blink hides the event."
)
OF_PLAN = (
    "Clips that were refused while the dataset was built are not in it, unless the profile keeps them; others may have "
    "stood in. Shares are of all clips that were planned, with their 95% interval."
)


@dataclass(frozen=True, slots=True)
class Clips:
    """Labels of an index that was read, as the formulas of bias take them."""

    index: pa.Table

    def __len__(self) -> int:
        return len(self.index)

    def codes(self, name: str) -> Codes:
        """The label `name` of every clip; words are those of its vocabulary, or those that occur."""
        column = self.index[name].combine_chunks()
        words = FIELD[name].words or tuple(sorted(set(column.drop_null().to_pylist())))
        places = pc.fill_null(pc.index_in(column, pa.array(words, pa.string())), -1)
        return Codes(places.to_numpy(zero_copy_only=False).astype(np.int32), words)


def splits(plan: Plan, index: pa.Table) -> str:
    """Of each split: subjects, clips, shards, effective number of groups, and groups of the dataset that it lacks."""
    held = {name: _groups(index, name) for name in ATTRIBUTES}
    rows = []
    for split in SPLITS:
        part = index.filter(pc.equal(index["split"], split))
        shards = sum(shard.split == split for shard in plan.shards)
        subjects = pc.count_distinct(part["subject"]).as_py()
        lacking = [plain(word) for name, words in held.items() for word in words if word not in _groups(part, name)]
        numbers = (f"{subjects:,}", f"{len(part):,}", shards, *_effective(part))
        rows.append((split, ", ".join(lacking) or "none", *numbers))
    head = ("split", "groups that it lacks", "subjects", "clips", "shards", "ENS gender", "ENS race", "ENS age")
    return table(head, rows, words=2)


def hashes(index: pa.Table) -> str:
    """SHA-256 of the keys of each split that has clips, sorted, one per line."""
    rows = []
    for split in SPLITS:
        keys = sorted(index.filter(pc.equal(index["split"], split))["key"].to_pylist())
        if keys:
            told = "\n".join(keys).encode()
            rows.append((split, f"`{hashlib.sha256(told).hexdigest()}`"))
    return table(("split", "SHA-256 of its keys"), rows, words=2)


def _groups(index: pa.Table, name: str) -> list[str]:
    """Words of a label that occur, those of its vocabulary in their order."""
    codes = Clips(index).codes(name)
    return [codes.words[code] for code in np.unique(codes.codes[codes.codes >= 0])]


def _effective(part: pa.Table) -> list[str]:
    """Effective number of groups among the subjects of a split, by attribute."""
    if not len(part):
        return ["–"] * len(ATTRIBUTES)
    found = bias_report(Clips(part), ATTRIBUTES).representation
    return [f"{item.figures['ens']:.1f}" for item in found if item.unit == "subjects"]


def bias(index: pa.Table) -> str:
    """Who is in the dataset, and whether groups and emotions go together: two tables."""
    if not len(index):
        return "No clip."
    report = bias_report(Clips(index), (*ATTRIBUTES, ATTRIBUTES[:2]))
    return f"{_representation(report)}\n\n{_associations(report)}"


def _representation(report: BiasReport) -> str:
    head = ("who is in it", "counted in", "known", "groups", "present", "ENS", "SEI", "NSD", "imbalance")
    return table(head, map(_represented, report.representation), words=2)


def _represented(item: Representation) -> tuple[object, ...]:
    figures = [_figure(item.figures[name]) for name in ("ens", "sei", "nsd", "imbalance_ratio")]
    present = sum(count > 0 for count in item.counts)
    return _named(item.attribute), item.unit, f"{sum(item.counts):,}", len(item.groups), present, *figures


def _associations(report: BiasReport) -> str:
    head = ("goes together", "strongest Ducher's Z", "clips", "Cramér's V", "V by chance")
    return table(head, map(_associated, report.associations), words=2)


def _associated(item: Association) -> tuple[object, ...]:
    name = f"{_named(item.attribute)}, {_named(item.label)}"
    values = (_figure(item.cramers_v), _figure(item.cramers_v_by_chance))
    return name, plain(item.strongest), f"{sum(map(sum, item.counts)):,}", *values


def _named(attribute: str) -> str:
    return attribute.replace("_", " ")


def _figure(value: float) -> str:
    return "∞" if math.isinf(value) else number(value)


def audit(index: pa.Table, report: Acceptance | None) -> str:
    """Acceptance by emotion and group, how far found times lie from labels, and why clips were refused.

    Args:
        report: what the audit said, None where no clip was judged.
    """
    if report is None:
        return (
            "This folder was not audited: what its labels say was caused, and no clip was judged by what its frames "
            "show. `equime audit` does that, and this section then has its figures."
        )
    if report.left:
        parts = [f"{JUDGED} {left_in_words(report.left)}"]
    else:
        parts = [_of_judged(report) if report.extent is Judged.SOME else _of_plan(report)]
    if timing := _timing(index):
        parts.append(table(("found in the frames, against the label", "clips", "median, ms", "95%, ms"), timing))
    reasons = [] if report.left else list(report.reasons.items())
    parts.append("\n".join(f"- {count} x {plain(reason)}" for reason, count in reasons[:MOST_REASONS]))
    return "\n\n".join(part for part in parts if part)


def _of_plan(report: Acceptance) -> str:
    """What an audit of every clip accepted, of what was planned."""
    rows = [
        (_value(row), row.planned, row.first, row.accepted, row.share, row.between, row.stood_in, row.final)
        for row in report.rows
    ]
    head = ("clips", "planned", "accepted at first", "at any attempt", "share", "95%", "stood in", "in the dataset")
    return f"{JUDGED} {OF_PLAN}\n\n{table(head, rows)}"


def _of_judged(report: Acceptance) -> str:
    """What an audit of some clips accepted, of those."""
    rows = [(_value(row), row.planned, row.accepted, row.share, row.between) for row in report.rows]
    clips = report.rows[0].planned + report.unjudged
    left = f"{report.unjudged:,} of {clips:,} clips were not judged. Shares are of the others, with their 95% interval."
    return f"{JUDGED} {left}\n\n{table(('clips', 'judged', 'accepted', 'share', '95%'), rows)}"


def _value(row: Row) -> str:
    return "all" if row.label == "all" else f"{row.label}: {plain(row.value)}"


def _timing(index: pa.Table) -> list[tuple[object, ...]]:
    """Distance of what the audit found from what is labeled."""
    rows: list[tuple[object, ...]] = []
    for time in TIMES:
        frames = pc.abs(pc.subtract(index[f"audit_{time}_frame"], index[f"{time}_frame"]))
        apart = pc.divide(pc.multiply(pc.cast(frames, pa.float64()), 1000.0), pc.cast(index["fps"], pa.float64()))
        known = apart.drop_null().to_numpy()
        if len(known):
            rows.append((time, f"{len(known):,}", *(f"{np.percentile(known, share):.0f}" for share in (50, 95))))
    return rows


def measured(index: pa.Table) -> str:
    """What was measured in the encoded clips: one row for each column that has values."""
    rows = [
        (f"`{one.name}`", one.about, f"{one.clips:,}", *(f"{value:.3g}" for value in one.percentiles))
        for one in measures(index)
    ]
    return (
        table(("column", "what it is", "clips", "5%", "median", "95%"), rows, words=2)
        if rows
        else "Nothing was measured."
    )


def changes(plan: Plan) -> str:
    """What editions have changed, the first one first."""
    made = [{name: plain(said) for name, said in change.items()} for change in changes_of(plan.header)]
    if not made:
        return "None: this is the folder as it was built."
    lines = [f"- {change_in_words(change)}" for change in made]
    return "\n".join([*lines, f"\n{DELETE}."] if must_delete(made) else lines)


def provenance(plan: Plan, index: pa.Table) -> str:
    """What the clips were made from and by, as far as the same words lead to the same bytes."""
    header = plan.header
    models = {f"{row['model']} {row['model_revision']}" for row in _distinct(index, ("model", "model_revision"))}
    rows = [
        ("portraits", f"source {plain(header['source'])}, fingerprint {plain(header['source_fingerprint'])}"),
        ("options of the source", _options(header["source_options"])),
        ("generator", plain(header["generator"])),
        ("options of the generator", _options(header["generator_options"])),
        ("generative model", plain("; ".join(sorted(models)), most=LIST_LETTERS) or "none"),
        ("AU statistics", plain(plan.profile.au_table)),
        ("seed", plain(header["seed"])),
        ("builder", f"equime {plain(header['builder_version'])}"),
        ("plan", plain(header["plan_sha256"])),
    ]
    return table(("of what", "which"), rows, words=2)


def _distinct(index: pa.Table, names: Sequence[str]) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = index.select(list(names)).group_by(list(names)).aggregate([]).to_pylist()
    return [row for row in rows if row[names[0]] is not None]


def _options(options: Mapping[str, Any]) -> str:
    return plain(json.dumps(options, ensure_ascii=False, sort_keys=True), most=LIST_LETTERS) if options else "none"
