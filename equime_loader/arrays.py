"""Arrow arrays to NumPy and back without a copy, and without pandas, whose import pyarrow's own way costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_loader.strings import Strings


def to_numpy(array: pa.Array) -> NDArray[Any]:
    """The numbers of an Arrow array, read-only; what stands where it is null means nothing."""
    if pa.types.is_boolean(array.type):
        return to_numpy(array.cast(pa.uint8())).astype(np.bool_)
    kind = np.dtype(_KINDS[array.type])
    data = array.buffers()[1]
    if data is None:
        return np.empty(0, kind)
    return np.frombuffer(data, kind, len(array), array.offset * kind.itemsize)


def nulls(array: pa.Array) -> NDArray[np.bool_]:
    """Where an Arrow array is null: (n,) bool."""
    return to_numpy(pc.is_null(array))


def from_numpy(array: NDArray[Any]) -> pa.Array:
    """Numbers as an Arrow array of the same type."""
    array = np.ascontiguousarray(array)
    kind = next(arrow for arrow, name in _KINDS.items() if np.dtype(name) == array.dtype)
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(array)])


def strings(array: pa.Array) -> Strings:
    """The strings of an Arrow array of less than 2 GiB; what is null is empty."""
    array = array.cast(pa.string())
    _, ends, letters = array.buffers()
    if not len(array) or letters is None:
        return Strings(np.empty(0, np.uint8), np.zeros(len(array) + 1, np.int32))
    return Strings(np.frombuffer(letters, np.uint8), np.frombuffer(ends, np.int32, len(array) + 1, 4 * array.offset))


_KINDS: dict[pa.DataType, str] = {
    getattr(pa, name)(): name for name in ("int8", "int16", "int32", "int64", "uint8", "uint32", "float32", "float64")
}
