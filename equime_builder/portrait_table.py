"""The portraits of a plan as a table: subjects with their landmarks, and who was left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from equime_builder.portraits import Attributes, Rejection, Subject, Survey

PORTRAIT_SCHEMA = pa.schema(
    [
        ("subject", pa.string()),
        ("person", pa.string()),
        ("reference", pa.string()),
        ("sha256", pa.string()),
        ("license", pa.string()),
        ("attributes", pa.string()),
        ("crop", pa.list_(pa.int32())),
        ("landmarks", pa.binary()),
        ("rejected", pa.string()),
    ]
)


def portrait_table(survey: Survey) -> pa.Table:
    """Subjects, those of the reserve, and the rejected; a table of `PORTRAIT_SCHEMA`."""
    rows = [_row(subject) for subject in (*survey.subjects, *survey.reserve)]
    rows += [{"reference": rejection.name, "rejected": rejection.reason} for rejection in survey.rejections]
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in PORTRAIT_SCHEMA.names}
    # File names may hold bytes that are no Unicode; they are kept readable and never written back.
    columns["reference"] = [name.encode("utf-8", "backslashreplace").decode() for name in columns["reference"]]
    return pa.Table.from_pydict(columns, schema=PORTRAIT_SCHEMA)


def _row(subject: Subject) -> dict[str, Any]:
    attributes = subject.attributes
    return {
        "subject": subject.subject,
        "person": subject.person,
        "reference": subject.reference,
        "sha256": subject.sha256,
        "license": subject.license,
        "attributes": json.dumps(
            {
                "gender": attributes.gender,
                "race": attributes.race,
                "age": attributes.age,
                "judged_by": dict(attributes.judged_by),
                "gender_probabilities": attributes.gender_probabilities,
                "race_probabilities": attributes.race_probabilities,
            }
        ),
        "crop": list(subject.crop) if subject.crop else None,
        "landmarks": None if subject.landmarks is None else subject.landmarks.astype("<f4").tobytes(),
    }


def subject_from_row(row: Mapping[str, Any]) -> Subject:
    """A subject from a row of the portrait table."""
    landmarks = row["landmarks"]
    return Subject(
        row["subject"],
        row["person"],
        row["reference"],
        Attributes(**json.loads(row["attributes"])),
        row["license"],
        row["sha256"],
        tuple(row["crop"]) if row["crop"] else None,
        None if landmarks is None else np.frombuffer(landmarks, "<f4").reshape(-1, 2).astype(np.float32),
    )


def rejected_portraits(portraits: pa.Table) -> list[Rejection]:
    """The portraits that were left out, with reasons."""
    table = portraits.select(["reference", "rejected"])
    return [Rejection(row["reference"], row["rejected"]) for row in table.to_pylist() if row["rejected"] is not None]
