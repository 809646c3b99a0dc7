"""Predictions of a model, one row per clip, as a table and as a Parquet file.

Columns: `key`, `subject`, `label` and `prediction` (words), `confidence` (of the prediction) and `probability_{class}`
for each class in the order of the task (float32, 0..1), and the words `corpus`, `apparent_gender`, `apparent_race`,
`age_group`, null where unknown. `equime_loader.fairness.read_predictions` reads such a file, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_loader.files import replacing

if TYPE_CHECKING:
    from training.protocols.tasks import Task

ATTRIBUTES = ("corpus", "apparent_gender", "apparent_race", "age_group")
WORDS = ("key", "subject", "label", "prediction")
PROBABILITY = "probability_"
# Bounds at the door: far above any evaluation that can be, far below what would exhaust memory.
MAX_CLIPS, MAX_BYTES = 10_000_000, 4 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Predictions as numbers.

    Attributes:
        classes: names; numbers are places among them.
        truth, predicted: (n,) int64. probabilities: (n, C) float32.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def prediction_table(task: Task, probabilities: NDArray[np.floating[Any]]) -> pa.Table:
    """The table of a task's clips, in their order.

    Args:
        probabilities: (n, C), of each class; rows of NaN for clips that could not be read, which are left out.

    Raises:
        ValueError: probabilities of another shape, or outside 0..1.
    """
    expected = (len(task.clips), len(task.classes))
    if probabilities.shape != expected:
        raise ValueError(f"probabilities {probabilities.shape} must be {expected}: clips x classes of the task")
    read = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    known = probabilities[read].astype(np.float32)
    if len(known) and not (known.min() >= 0 and known.max() <= 1 + 1e-6):
        raise ValueError(f"probabilities hold {known.min()}..{known.max()}, expected 0..1")
    predicted = known.argmax(axis=1) if len(known) else np.zeros(0, np.int64)
    classes = pa.array(task.classes, pa.string())
    columns: dict[str, pa.Array] = {
        "key": task.clips.index.column("key").take(pa.array(task.clips.rows[read])).cast(pa.string()),
        "subject": _words(task, "subject", read),
        "label": classes.take(pa.array(task.targets[read])),
        "prediction": classes.take(pa.array(predicted)),
        "confidence": pa.array(known.max(axis=1, initial=0.0), pa.float32()),
    }
    columns |= {f"{PROBABILITY}{name}": pa.array(known[:, at]) for at, name in enumerate(task.classes)}
    columns |= {name: _words(task, name, read) for name in ATTRIBUTES}
    return pa.table(columns)


def _words(task: Task, name: str, positions: NDArray[np.int64]) -> pa.Array:
    codes = task.clips.codes(name)
    chosen = codes.codes[positions]
    return pa.array(codes.words, pa.string()).take(pa.array(chosen, mask=chosen < 0))


def write_predictions(table: pa.Table, path: str | Path) -> None:
    """Write predictions as Parquet, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, shared=True) as temporary:
        pq.write_table(table, temporary)


def load_predictions(path: str | Path) -> pa.Table:
    """The table of a file of predictions.

    Raises:
        ValueError: no such file, or one that holds no predictions of this form; the message names it.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file of predictions")
    try:
        with pq.ParquetFile(file) as parquet:
            rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
            size = sum(parquet.metadata.row_group(n).total_byte_size for n in range(parquet.metadata.num_row_groups))
            if rows > MAX_CLIPS or size > MAX_BYTES:
                raise ValueError(f"declares {rows:,} rows of {size:,} bytes, at most {MAX_CLIPS:,} of {MAX_BYTES:,}")
            if missing := [name for name in (*WORDS, "confidence") if name not in schema.names]:
                raise ValueError(f"needs a column {missing[0]!r}, has {', '.join(schema.names[:30])}")
            table = parquet.read()
        read_as_numbers(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from error
    return table


def classes_of(table: pa.Table) -> tuple[str, ...]:
    """Names of the classes, in the order of the task."""
    return tuple(name.removeprefix(PROBABILITY) for name in table.column_names if name.startswith(PROBABILITY))


def read_as_numbers(table: pa.Table) -> Predicted:
    """The table's labels, predictions and probabilities as arrays.

    Raises:
        ValueError: a word that is none of the classes, or a probability that is missing or no number.
    """
    classes = classes_of(table)
    if not classes:
        raise ValueError(f"needs columns {PROBABILITY}…, one for each class")
    place = {name: number for number, name in enumerate(classes)}
    numbers = {}
    for column in ("label", "prediction"):
        words = table[column].to_pylist()
        if strange := [word for word in words if word not in place]:
            raise ValueError(f"{column}={strange[0]!r} must be one of {', '.join(classes)}")
        numbers[column] = np.array([place[word] for word in words], np.int64)
    columns = [table[f"{PROBABILITY}{name}"].to_numpy().astype(np.float32) for name in classes]
    probabilities = np.stack(columns, axis=1)
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities must be numbers in every row")
    return Predicted(classes, numbers["label"], numbers["prediction"], probabilities)
