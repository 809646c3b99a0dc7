"""The table of curation: one row per candidate portrait, with every score, what was decided, and why.

It stays with the dataset as `__manifest__/curation.parquet`. The table that `equime curate` leaves also holds the
landmarks, so that no portrait is scored twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from equime_builder.attributes.estimates import EXPRESSIONS, Estimate
from equime_builder.curation.scores import VERSION, Scores
from equime_builder.portraits import LANDMARKS as LANDMARK_COUNT
from equime_loader.files import replacing
from equime_loader.schema import GENDERS, RACES, Field

FILE = "curation.parquet"
_VERSION_KEY = b"equime_scores"


def _probabilities(words: tuple[str, ...]) -> pa.DataType:
    return pa.struct([(word, pa.float64()) for word in words])


DECISION = (
    Field("reference", pa.string(), "file within the source's folder"),
    Field("subject", pa.string(), "name in keys, where the file could be read", nullable=True),
    Field("person", pa.string(), "who splits keep together, where it differs from the subject", nullable=True),
    Field("taken", pa.bool_(), "whether it became a subject"),
    Field("reason", pa.string(), "why not", nullable=True),
    Field("declared_gender", pa.string(), "apparent gender that the source declares", nullable=True),
    Field("declared_race", pa.string(), "apparent race that the source declares", nullable=True),
    Field("declared_age", pa.float64(), "apparent age that the source declares", nullable=True),
    Field("declared_by", pa.string(), "whose declarations those are", nullable=True),
)
ESTIMATE = (
    Field("estimated_by", pa.string(), "whose estimates the following are", nullable=True),
    Field("estimated_gender", pa.string(), "apparent gender", nullable=True),
    Field("estimated_race", pa.string(), "apparent race", nullable=True),
    Field("estimated_age", pa.float64(), "apparent age in years", nullable=True),
    Field("gender_probabilities", _probabilities(GENDERS), "of apparent gender", nullable=True),
    Field("race_probabilities", _probabilities(RACES), "of apparent race", nullable=True),
    Field("expression_probabilities", _probabilities(EXPRESSIONS), "of the expression shown", nullable=True),
)
_NUMBERS = {
    "iod": "inter-ocular distance in the picture, pixels",
    "yaw": "degrees",
    "pitch": "degrees",
    "roll": "degrees",
    "outside": "how far the face's outline leaves the square, share of its side",
    "lid_gap": "opening of the more closed eye, IOD",
    "lip_gap": "distance of the inner lips, IOD",
    "smile": "FaceLandmarker's smile, 0..1",
    "lip_color": "CIELAB distance of the lips from the skin around them",
    "mirror_shift": "how far the landmarks move when the picture is mirrored, IOD",
    "sharpness": "variance of the Laplacian by the variance of brightness",
}
_COUNTS = {"width": "pixels", "height": "pixels", "faces": "how many were found"}
# Scores with several parts, and the columns that hold them.
_PARTS: dict[str, tuple[str, ...]] = {
    "crop": ("crop_left", "crop_top", "crop_side"),
    "eye_light": ("eye_light_right", "eye_light_left"),
    "eye_contrast": ("eye_contrast_right", "eye_contrast_left"),
    "cheek_edges": ("cheek_edge_right", "cheek_edge_left", "lower_cheek_edge_right", "lower_cheek_edge_left"),
}
_ABOUT = {
    "crop": "square that frames the face, pixels of the picture",
    "eye_light": "bright parts of the eye against the cheek",
    "eye_contrast": "of bright and dark parts of the eye",
    "cheek_edges": "strong edges of the cheek, gradient by brightness",
}
SCORES = (
    Field("sha256", pa.string(), "of the file", nullable=True),
    Field("problem", pa.string(), "why it could not be measured", nullable=True),
    *(Field(name, pa.int32(), about, nullable=True) for name, about in _COUNTS.items()),
    *(Field(name, pa.float64(), about, nullable=True) for name, about in _NUMBERS.items()),
    *(
        Field(part, pa.int32() if name == "crop" else pa.float64(), _ABOUT[name], nullable=True)
        for name, parts in _PARTS.items()
        for part in parts
    ),
)
LANDMARKS = (
    Field("landmarks", pa.binary(), "(478, 2) float32 in the square, little-endian", nullable=True),
    Field("landmarks_size", pa.int32(), "side of the square in which they were found, pixels", nullable=True),
)
# What stays with a dataset; landmarks of those who were taken lie in the plan.
COLUMNS: tuple[Field, ...] = (*DECISION, *ESTIMATE, *SCORES)


def schema_of(fields: Iterable[Field]) -> pa.Schema:
    """Arrow schema of some of the columns, with the version of the scores."""
    schema = pa.schema([(column.name, column.kind) for column in fields])
    return schema.with_metadata({_VERSION_KEY: str(VERSION)})


def scores_row(sha256: str | None, scores: Scores) -> dict[str, Any]:
    """Columns `SCORES` and `LANDMARKS` of a file."""
    row: dict[str, Any] = {"sha256": sha256, "problem": scores.problem}
    row |= {name: getattr(scores, name) for name in (*_COUNTS, *_NUMBERS)}
    for name, parts in _PARTS.items():
        row |= dict(zip(parts, getattr(scores, name) or (None,) * len(parts), strict=True))
    landmarks = scores.landmarks
    row["landmarks"] = None if landmarks is None else landmarks.astype("<f4").tobytes()
    return row | {"landmarks_size": scores.landmarks_size}


def scores_of(row: Mapping[str, Any]) -> Scores:
    """The scores of a row that `scores_row` made."""
    values: dict[str, Any] = {name: row[name] for name in ("problem", *_COUNTS, *_NUMBERS, "landmarks_size")}
    values |= {name: tuple(row[part] for part in parts) for name, parts in _PARTS.items()}
    if None in values["crop"]:
        values["crop"] = None
    if (data := row["landmarks"]) is not None:
        values["landmarks"] = np.frombuffer(data, "<f4").reshape(LANDMARK_COUNT, 2).astype(np.float32)
    if values["crop"] is not None:
        left, top, side = values["crop"]
        if data is None or min(left, top, side - 1, row["width"] - left - side, row["height"] - top - side) < 0:
            raise ValueError(f"{row['sha256']}: a face without landmarks, or outside of its picture")
    return Scores(**values)


def estimate_row(estimate: Estimate | None) -> dict[str, Any]:
    """Columns `ESTIMATE`."""
    if estimate is None:
        return dict.fromkeys(column.name for column in ESTIMATE)
    return {
        "estimated_by": estimate.by,
        "estimated_gender": estimate.gender,
        "estimated_race": estimate.race,
        "estimated_age": estimate.age,
        "gender_probabilities": estimate.gender_probabilities,
        "race_probabilities": estimate.race_probabilities,
        "expression_probabilities": estimate.expression_probabilities,
    }


def estimate_of(row: Mapping[str, Any]) -> Estimate | None:
    """The estimate of a row that `estimate_row` made."""
    names = ("estimated_by", "estimated_gender", "estimated_race", "estimated_age")
    by, *words = (row[name] for name in names)
    probabilities = (row[f"{name}_probabilities"] for name in ("gender", "race", "expression"))
    return None if by is None else Estimate(by, *words, *probabilities)


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs found, by the SHA-256 of the file."""

    scores: Mapping[str, Scores] = field(default_factory=dict)
    estimates: Mapping[str, Estimate] = field(default_factory=dict)


def read_known(*paths: Path) -> Known:
    """Scores and estimates from tables that `write_table` wrote; of two, the later one counts.

    Raises:
        ValueError: a file is no such table, or one of another version.
    """
    scores: dict[str, Scores] = {}
    estimates: dict[str, Estimate] = {}
    for path in paths:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"{path}: not a table of `equime curate` ({error})") from error
        if (table.schema.metadata or {}).get(_VERSION_KEY) != str(VERSION).encode():
            raise ValueError(f"{path}: not a table of this version of `equime curate`; make it again elsewhere")
        try:
            for row in table.to_pylist():
                if row["sha256"] is None:
                    continue
                if row.get("landmarks_size") is not None or row.get("problem") or row.get("faces") is not None:
                    scores[row["sha256"]] = scores_of(row)
                if (estimate := estimate_of(row) if "estimated_by" in row else None) is not None:
                    estimates[row["sha256"]] = estimate
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a table of `equime curate` ({error})") from error
    return Known(scores, estimates)


def make_table(rows: Iterable[Mapping[str, Any]], fields: Iterable[Field]) -> pa.Table:
    """A table of the given columns; what a row lacks is null."""
    schema = schema_of(fields)
    return pa.Table.from_pylist(list(rows), schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, whole or not at all."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_csv(path: Path, table: pa.Table) -> None:
    """Write a table as CSV; probabilities become columns like ``race_probabilities.asian``, landmarks are left out."""
    kept = [name for name in table.column_names if name not in {column.name for column in LANDMARKS}]
    with replacing(path) as temporary:
        pa_csv.write_csv(table.select(kept).flatten(), temporary)
