"""From what a user typed to a validated request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from equime_builder.build import Part, Request
from equime_builder.generators import check_options, check_size
from equime_builder.landmarks import find_landmarker
from equime_builder.portraits import PortraitSource
from equime_builder.profiles import Profile, load_profile
from equime_builder.sources.celeba_hq import CelebAHQSource
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.sources.folder import LICENSE, FolderSource
from equime_builder.sources.photographs import CurationTable

SOURCES = ("procedural", "folder", "celeba-hq")


def make_source(
    name: str,
    *,
    portraits: Path | None = None,
    attributes: Path | None = None,
    select: Sequence[str] = (),
    face_model: Path | None = None,
    curation: Path | None = None,
    limit: int | None = None,
    workers: int = 1,
) -> PortraitSource:
    """A portrait source by its name.

    Args:
        curation: table that `equime curate` wrote. workers: processes that score photographs.

    Raises:
        ValueError: unknown name, an option of another source, no folder for a source of photographs, or a folder that
            does not exist.
    """
    if name not in SOURCES:
        raise ValueError(f"source {name!r} must be one of {', '.join(SOURCES)}")
    for option, given, owner in (("--select", select, "celeba-hq"), ("--attributes", attributes, "folder")):
        if given and name != owner:
            raise ValueError(f"{option} goes with source {owner}, not {name}")
    if curation is not None and name == "procedural":
        raise ValueError("--curation goes with sources of photographs, not procedural")
    made = CurationTable.at(curation).sha256 if curation else None
    chosen: dict[str, dict[str, Any]] = {
        "procedural": {},
        "folder": {"license": LICENSE, "attributes": attributes.name if attributes else None},
        "celeba-hq": {"select": parse_selection(select) or None},
    }
    return source_of(
        name,
        {**chosen[name], "limit": limit, "curation": made},
        portraits=portraits,
        attributes=attributes,
        face_model=face_model,
        curation=curation,
        workers=workers,
    )


def source_of(
    name: str,
    options: Mapping[str, Any],
    *,
    portraits: Path | None = None,
    attributes: Path | None = None,
    face_model: Path | None = None,
    curation: Path | None = None,
    workers: int = 1,
) -> PortraitSource:
    """The source that a plan was made with, by its name and `PortraitSource.options`.

    Args:
        portraits: where the photographs lie on this machine, if the source has any.
        attributes: where the table of attributes lies that the options name; by default in the folder of portraits.
        curation: where the table of `equime curate` lies whose hash the options give. workers: see `make_source`.

    Raises:
        ValueError: as `make_source`, or options that are not those of such a source.
    """
    if name not in SOURCES:
        raise ValueError(f"source {name!r} must be one of {', '.join(SOURCES)}")
    if name == "procedural":
        if portraits is not None:
            raise ValueError(
                f"source procedural takes no portraits; did you mean --source folder --portraits {portraits}?"
            )
        return ProceduralSource()
    if portraits is None:
        raise ValueError(f"source {name} needs --portraits FOLDER")
    if not portraits.is_dir():
        raise ValueError(f"--portraits {portraits}: no such folder")
    model = partial(find_landmarker, face_model)
    made = options.get("curation")
    curated = CurationTable(made, curation) if made else None
    try:
        shared = {"limit": options["limit"], "curation": curated, "workers": workers}
        if name == "celeba-hq":
            return CelebAHQSource(portraits, model, options["select"], **shared)
        table = _table(options["attributes"], attributes, portraits)
        return FolderSource(portraits, model, table, options["license"], **shared)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"source_options={dict(options)} are not those of source {name} ({error!r})") from error


def _table(name: str | None, given: Path | None, portraits: Path) -> Path | None:
    """Path of the table that the options name. Only the name is known: who judged the attributes is told by it."""
    if name is None:
        if given is not None:
            raise ValueError(f"--attributes {given}: the plan was made without it")
        return None
    path = given or portraits / Path(name).name
    if not path.is_file():
        hint = "" if given else f"; the plan was made with a table {name!r}, give it by --attributes"
        raise ValueError(f"--attributes {path}: no such file{hint}")
    if path.name != name:
        raise ValueError(f"--attributes {path}: the plan was made with a table named {name!r}")
    return path


def parse_selection(select: Sequence[str]) -> dict[str, int]:
    """``["Smiling=-1", "Male=1"]`` to a mapping.

    Raises:
        ValueError: not of the form NAME=1 or NAME=-1.
    """
    chosen = {}
    for item in select:
        match = re.fullmatch(r"\s*(\w+)\s*=\s*(-?1)\s*", item)
        if match is None:
            raise ValueError(f"--select {item!r} must read NAME=1 or NAME=-1")
        chosen[match[1]] = int(match[2])
    return chosen


def parse_shards(text: str) -> list[int] | Part:
    """``3,7-9`` to [3, 7, 8, 9], ``2/16`` to the second of sixteen parts, ``none`` to no shard at all.

    Raises:
        ValueError: anything else.
    """
    if text.strip() == "none":
        return []
    if match := re.fullmatch(r"\s*(\d{1,7})\s*/\s*(\d{1,7})\s*", text):
        return Part(int(match[1]), int(match[2]))
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})(?:\s*-\s*(\d{1,7}))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ValueError(f"--shards {text!r} must read like 3,7-9 or 2/16, or none")
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return sorted(set(numbers))


def words(text: str | None) -> tuple[str, ...] | None:
    """A comma-separated list, None where nothing was given."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text is not None else None


def make_request(
    profile: Profile,
    source: PortraitSource,
    *,
    seed: int,
    formats: str | None,
    generator: str = "warp",
    settings: Sequence[str] = (),
    audit: bool = False,
    pin: bool = True,
) -> Request:
    """A request; `formats` and the generator's `settings` as the user typed them, None for the default formats.

    Args:
        pin: see `generators.check_options`.

    Raises:
        ValueError: an unknown generator, a setting that it does not have, a size that it cannot draw, or a model that
            is not on this machine.
    """
    check_size(generator, profile.size)
    options = check_options(generator, parse_settings(settings), pin=pin)
    request = Request(profile, source, seed, generator, options, audit)
    chosen = words(formats)
    return request if chosen is None else replace(request, formats=chosen)


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """``["steps=30", "mode=keyframe"]`` to plain values: numbers and true/false as such, the rest as text.

    Raises:
        ValueError: not of the form NAME=VALUE, or a name given twice.
    """
    chosen: dict[str, Any] = {}
    for item in settings:
        name, equals, text = item.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier() or name in chosen:
            raise ValueError(f"--set {item!r} must read NAME=VALUE, each name once")
        try:
            value = json.loads(text)
        except ValueError:
            value = text.strip()
        chosen[name] = value if isinstance(value, bool | int | float | str) else text.strip()
    return chosen


def make_profile(name: str, overrides: Mapping[str, object]) -> Profile:
    """A profile with what the user changed.

    Raises:
        ValueError: naming the value and its bound.
    """
    return load_profile(name, **overrides)
