"""Plain values from TOML and JSON to dataclasses, checked against the types that their fields declare."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

_NAMES = {int: "a whole number", float: "a finite number", str: "text"}


def construct(kind: Any, value: Any, key: str = "") -> Any:
    """A value as `kind`: a dataclass, int, float, str, a tuple or a mapping of these.

    Lists become tuples, whole numbers become floats where a float is declared; nothing else is converted.

    Args:
        key: where the value stands, as a dotted name.

    Raises:
        ValueError: an unknown or missing key, a value of another type, or what the dataclass itself refuses.
    """
    if is_dataclass(kind):
        return _dataclass(kind, value, key)
    arguments = get_args(kind)
    if get_origin(kind) is tuple:
        return _tuple(arguments, value, key)
    if get_origin(kind) is Mapping:
        table = _table(value, key)
        return {word: construct(arguments[1], part, f"{key}.{word}") for word, part in table.items()}
    # `bool` is an `int` to Python, and a NaN fails every comparison.
    if kind is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:
        return float(value)
    if kind is float or type(value) is not kind:
        raise ValueError(f"{key}={value!r} must be {_NAMES[kind]}")
    return value


def _dataclass(kind: Any, value: Any, key: str) -> Any:
    if isinstance(value, kind):
        return value
    table, known = _table(value, key), {field.name: field for field in fields(kind)}
    types, prefix = get_type_hints(kind), f"{key}." if key else ""
    if unknown := [name for name in table if name not in known]:
        raise ValueError(f"unknown key {prefix + str(unknown[0])!r}; known: {', '.join(known)}")
    if missing := [name for name, field in known.items() if name not in table and _required(field)]:
        raise ValueError(f"key {prefix + missing[0]!r} is missing")
    return kind(**{name: construct(types[name], part, prefix + name) for name, part in table.items()})


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _table(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{key}={value!r} must be a table")
    return value


def _tuple(kinds: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{key}={value!r} must be a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{key}={list(value)} must be a list of {len(kinds)} values")
    return tuple(
        construct(kind, part, f"{key}[{place}]") for place, (kind, part) in enumerate(zip(kinds, value, strict=True))
    )
