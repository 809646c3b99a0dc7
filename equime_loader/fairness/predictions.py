"""What a model said of each clip: from arrays or from a Parquet file, checked once, here.

A file of predictions has one row per clip with the columns `key` (string, unique), `subject`, `label` and `prediction`
(words, or whole numbers), and one column of words per attribute of the subject, null where it is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_loader.fairness.groups import crossed
from equime_loader.index import Codes
from equime_loader.schema import EMOTIONS, FIELD, THREE_CLASSES

KEY, SUBJECT, LABEL, PREDICTION = REQUIRED = ("key", "subject", "label", "prediction")
# Bounds at the door: far above any evaluation that can be, far below what would exhaust memory.
MAX_CLIPS = 10_000_000
MAX_BYTES = 4 << 30
MAX_CLASSES = 100
MAX_GROUPS = 1_000

Values = Any
"""Words or whole numbers, one per clip: `Codes`, a sequence, or an array of NumPy, Arrow or pandas."""


class PredictionsFault(ValueError):
    """Predictions that cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Labels and predictions of n clips.

    Attributes:
        truth, predicted: (n,) int64 class numbers, 0 .. len(classes) - 1.
        subjects: (n,) int64 subject numbers, 0 .. S-1.
        groups: attribute to its codes (n,), -1 where it is unknown.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    classes: tuple[str, ...]
    subjects: NDArray[np.int64]
    groups: Mapping[str, Codes]

    @classmethod
    def of(
        cls,
        y_true: Values,
        y_pred: Values,
        *,
        subjects: Values,
        groups: Mapping[str, Values],
        classes: Sequence[str] | None = None,
    ) -> Predictions:
        """Predictions from one value per clip each.

        Args:
            y_true, y_pred: both words, or both class numbers.
            groups: attribute to the words of its groups; a null is an unknown group.
            classes: names of the classes in their order. Without them, words that occur (in the order of the schema
                where it has them all, else sorted), or the numbers from 0 to the largest.

        Raises:
            PredictionsFault: values of different lengths, null labels, an unknown class, or more than the bounds allow.
        """
        return _checked({"y_true": y_true, "y_pred": y_pred, "subjects": subjects}, groups, classes)

    def __len__(self) -> int:
        return len(self.truth)

    def by(self, attributes: Sequence[str]) -> tuple[str, Codes]:
        """Name and codes of one attribute, or of several crossed.

        Raises:
            KeyError: no such attribute. PredictionsFault: more groups than the bounds allow.
        """
        if missing := [name for name in attributes if name not in self.groups]:
            raise KeyError(f"no attribute {missing[0]!r}; the predictions have {', '.join(self.groups) or 'none'}")
        if (size := int(np.prod([len(self.groups[name].words) for name in attributes]))) > MAX_GROUPS:
            raise PredictionsFault(f"{' and '.join(attributes)} make {size:,} groups, expected at most {MAX_GROUPS:,}")
        return crossed({name: self.groups[name] for name in attributes})


def _checked(
    required: Mapping[str, Values], groups: Mapping[str, Values], classes: Sequence[str] | None
) -> Predictions:
    """Predictions of the values of truth, prediction and subject, under the names that errors are to say."""
    columns = {name: _column(name, values) for name, values in required.items()}
    attributes = {name: _column(name, values) for name, values in groups.items()}
    lengths = [(name, len(column)) for name, column in (*columns.items(), *attributes.items())]
    if len({length for _, length in lengths}) > 1:
        said = ", ".join(f"{name} {length:,}" for name, length in lengths)
        raise PredictionsFault(f"every array must hold one value per clip, got {said}")
    for name, column in columns.items():
        if not 0 < len(column) <= MAX_CLIPS:
            raise PredictionsFault(f"{name} holds {len(column):,} clips, expected 1 to {MAX_CLIPS:,}")
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py()
            raise PredictionsFault(f"{name}[{row}] is null; every clip needs one")
    truth, predicted, subjects = columns.values()
    names, numbers = _classes(truth, predicted, classes)
    people = {subject: number for number, subject in enumerate(_words(subjects))}
    coded = {name: _groups(name, attributes[name], values) for name, values in groups.items()}
    return Predictions(_recoded(truth, numbers), _recoded(predicted, numbers), names, _recoded(subjects, people), coded)


def _column(name: str, values: Values) -> pa.DictionaryArray:
    """Values as a dictionary of words or of whole numbers."""
    if isinstance(values, Codes):
        indices = pa.array(values.codes, mask=values.codes < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(values.words, pa.string()))
    try:
        array = values if isinstance(values, pa.ChunkedArray | pa.Array) else pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise PredictionsFault(f"{name} must hold words or whole numbers, one per clip ({error})") from error
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if pa.types.is_null(kind):
        array, kind = array.cast(pa.string()), pa.string()
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise PredictionsFault(f"{name} holds {kind}, expected words or whole numbers")
    return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()


def _words(column: pa.DictionaryArray) -> list[Any]:
    """The words or numbers that occur in a column."""
    found: list[Any] = pc.unique(column).dictionary_decode().drop_null().to_pylist()
    return found


def _recoded(column: pa.DictionaryArray, place: Mapping[Any, int]) -> NDArray[np.int64]:
    """(n,) int64: for each value the number that `place` gives it, -1 for null and for words that have none."""
    table = np.array([place.get(word, -1) for word in column.dictionary.to_pylist()] or [-1], np.int64)
    codes = table[pc.fill_null(column.indices, 0).to_numpy()]
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), codes, -1)


def _classes(
    truth: pa.DictionaryArray, predicted: pa.DictionaryArray, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Names of the classes, and the class number of each value that may stand for one."""
    kinds = [column.type.value_type for column in (truth, predicted)]
    numbers = pa.types.is_integer(kinds[0])
    if numbers != pa.types.is_integer(kinds[1]):
        said = " and ".join(map(str, kinds))
        raise PredictionsFault(f"truth and prediction must both be words, or both class numbers, got {said}")
    found = list(dict.fromkeys([*_words(truth), *_words(predicted)]))
    if classes is not None:
        names = tuple(classes)
    else:
        names = tuple(map(str, range(min(max(found), MAX_CLASSES) + 1))) if numbers else _ordered(found)
    if len(set(names)) < len(names) or not 0 < len(names) <= MAX_CLASSES:
        raise PredictionsFault(f"classes has {len(names)} names, expected 1 to {MAX_CLASSES}, each once")
    place: dict[Any, int] = {code if numbers else name: code for code, name in enumerate(names)}
    if unknown := [word for word in found if word not in place]:
        wanted = f"a number from 0 to {len(names) - 1}" if numbers else f"one of {', '.join(names)}"
        raise PredictionsFault(f"class {str(unknown[0])[:80]!r} must be {wanted}")
    return names, place


def _ordered(found: Sequence[str]) -> tuple[str, ...]:
    """Words of classes that occur, in the order of the schema where it has them all."""
    for vocabulary in (THREE_CLASSES, EMOTIONS):
        if set(found) <= set(vocabulary):
            return tuple(word for word in vocabulary if word in found)
    return tuple(sorted(found))


def _groups(name: str, column: pa.DictionaryArray, values: Values) -> Codes:
    """Codes of an attribute, in the order given with them, else that of the schema, else sorted."""
    if isinstance(values, Codes):
        return values
    found = _words(column)
    vocabulary = FIELD[name].words if name in FIELD else ()
    words = vocabulary if set(found) <= set(vocabulary) else tuple(sorted(found))
    if len(words) > MAX_GROUPS:
        raise PredictionsFault(f"{name} has {len(words):,} groups, expected at most {MAX_GROUPS:,}")
    place = {word: code for code, word in enumerate(words)}
    return Codes(_recoded(column, place).astype(np.int32), tuple(map(str, words)))


def read_predictions(
    path: str | PathLike[str], *, groups: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> Predictions:
    """Predictions of a Parquet file.

    Args:
        groups: columns of attributes; without it, every column of words beside the required ones.
        classes: as for `Predictions.of`.

    Raises:
        PredictionsFault: no such file, none that can be read, a missing column, a key twice, or values that
            `Predictions.of` refuses; the message names the file.
    """
    file = Path(path)
    try:
        table = _read(file, groups)
        keys = table[KEY].unify_dictionaries()
        if keys.null_count or len(pc.unique(keys)) != len(keys):
            raise PredictionsFault("key must be given and unique in every row")
        attributes = {name: table[name] for name in table.column_names if name not in REQUIRED}
        return _checked({name: table[name] for name in (LABEL, PREDICTION, SUBJECT)}, attributes, classes)
    except (PredictionsFault, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise PredictionsFault(f"{file}: {error}") from error


def _read(file: Path, groups: Sequence[str] | None) -> pa.Table:
    """The columns that matter, words as dictionaries, so that a word that repeats costs its number only."""
    if not file.is_file():
        raise PredictionsFault("no such file")
    with pq.ParquetFile(file) as parquet:
        schema, metadata = parquet.schema_arrow, parquet.metadata
        for name in REQUIRED + tuple(groups or ()):
            if schema.names.count(name) != 1:
                raise PredictionsFault(f"needs one column {name!r}, has {', '.join(schema.names[:50])}")
        if metadata.num_rows > MAX_CLIPS:
            raise PredictionsFault(f"declares {metadata.num_rows:,} rows, more than {MAX_CLIPS:,}")
        words = [field.name for field in schema if _is_words(field.type)]
        others = [name for name in words if name not in REQUIRED] if groups is None else list(groups)
        names = [*REQUIRED, *dict.fromkeys(others)]
        if not _is_words(schema.field(KEY).type):
            raise PredictionsFault(f"key holds {schema.field(KEY).type}, expected words")
        # Of whole row groups: of a damaged column, pyarrow would end the process.
        size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        if size > MAX_BYTES:
            raise PredictionsFault(f"declares {size:,} bytes, more than {MAX_BYTES:,}")
    with pq.ParquetFile(file, read_dictionary=[name for name in names if name in words]) as parquet:
        return parquet.read(names)


def _is_words(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
