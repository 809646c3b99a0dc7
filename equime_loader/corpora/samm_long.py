"""SAMM Long Videos (Yap et al., FG 2020): micro- and macro-expressions in whole recordings.

    SAMM_LongVideos_V1_Release.xlsx, …_V2_…, …_V3_…    ten rows of text above the data
    SAMM_longvideos/006_1/006_1_0001.jpg               one folder per recording
    SAMM_Micro_FACS_Codes_v2.xlsx                      emotions of the micro-expressions, where it lies beside them

Gray, 200 frames per second. A clip is a recording, ``006_1``, and holds several events; the sheet's `Filename` also
counts the events, ``006_1_2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from equime_loader.corpora import samm
from equime_loader.corpora.annotations import Annotation, Conventions
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.corrections import name_key
from equime_loader.corpora.events import Known, Reading
from equime_loader.corpora.sheets import Form, Record, find_table, read_sheets

# In 147 recordings.
KNOWN = Known(rows=502, events=502, expressions={"micro": 159, "macro": 343})
RULES = Conventions("samm_long", 200.0, None)
SHEETS = (r"samm[-_ ]?long[-_ ]?videos.*",)
FORMS = (Form("long videos", {**samm.COLUMNS, "expression": ("Type",)}, {"duration": ("Duration",)}),)


def read(copy: Copy) -> Reading:
    """Every event of a copy; micro-expressions have an emotion where the sheet of SAMM lies beside.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    table = copy.table(SHEETS, FORMS)
    for record in table.records:
        samm.check_duration(copy, record)
    emotions = _emotions(copy)
    rows = copy.rows(table.records, lambda record: _annotation(record, emotions))
    events = []
    for row in rows:
        rules = replace(RULES, labels=samm.RULES.labels) if row.label else RULES
        events.append(copy.event(row, copy.frames(copy.tree.ending(row.clip), samm.ORDER, first=1), rules))
    return copy.reading(table.version, len(table.records), events, KNOWN)


def _annotation(record: Record, emotions: Mapping[str, str]) -> Annotation:
    subject = samm.subject_name(record)
    micro = record["expression"].casefold().startswith("micro")
    return Annotation(
        record.where,
        subject,
        "_".join([subject, *record["clip"].split("_")[1:2]]),
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=emotions.get(name_key(record["clip"]), "") if micro else "",
        aus=record["aus"],
        expression=record["expression"],
    )


def _emotions(copy: Copy) -> dict[str, str]:
    """Emotion of each micro-expression by its name in SAMM; empty where its sheet is not there."""
    found = copy.tree.named(samm.SHEETS[0])
    if not found:
        return {}
    table = find_table(read_sheets(found[0]), samm.FORMS)
    return {name_key(record["clip"]): record["label"] for record in table.records}
