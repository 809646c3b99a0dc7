"""What stands against publishing a folder: faults, rejected clips, names and addresses, limits of the Hub."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.annotations import annotation_names, annotation_path
from equime_builder.finish import CARD, INDEX, LICENCE, committed
from equime_builder.folder_kinds import origin_of
from equime_builder.hub.words import word_list
from equime_builder.verify import verify
from equime_loader.schema import LABELS

EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# Words in the name of a picture that name nobody. A word of another kind may be somebody's name.
NEUTRAL = word_list("neutral_words.txt")
HEX = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]{2,}")
SHOWN = 3
GROUPS = ("emotion", "apparent_gender", "apparent_race", "age_group")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a folder is not published, and what to do."""

    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.what}; {self.next_step}"


def objections(root: Path, *, progress: Callable[[str], None] = lambda _: None) -> list[Objection]:
    """Everything that stands against publishing a folder.

    Raises:
        FolderError: the folder is none that was built; one imported from a corpus is not ours to publish.
    """
    manifest.read_header(root)
    if faults := verify(root, progress=progress):
        return [Objection(f"{len(faults)} faults, first {faults[0]}", "mend them with `equime verify --repair`")]
    return [*_rejected_clips(root), *_addresses(root), *_names(root)]


def _rejected_clips(root: Path) -> Iterator[Objection]:
    index = pq.read_table(root / INDEX, columns=["key", "audit_verdict", "review_verdict"])
    for column, by in (("audit_verdict", "audit"), ("review_verdict", "review")):
        keys = index.filter(pc.equal(index[column], "rejected"))["key"].to_pylist()
        if keys:
            yield Objection(
                f"{len(keys)} clips that the {by} rejected, e.g. {keys[0]}",
                "leave them out with --without-rejected, or build again with another seed or profile",
            )
    kept = set(index["key"].to_pylist())
    for _, commit in committed(root):
        if held := [each.name for each in commit.rejected if each.name in kept]:
            yield Objection(f"{held[0]} was rejected and is in the index", "mend it with `equime verify --repair`")


def _addresses(root: Path) -> Iterator[Objection]:
    for path, text in published_text(root):
        if found := EMAIL.findall(text):
            yield Objection(
                f"{path} holds {len(found)} e-mail addresses",
                "remove them where they come from (attributes, licence, notes of an annotation) and build again",
            )


def published_text(root: Path) -> Iterator[tuple[str, str]]:
    """Every text that a publication shows, by the file that it is in; a table as its distinct words."""
    header = manifest.folder_header(root)
    for path in (CARD, LICENCE, *origin_of(header).text_files, manifest.REJECTED, manifest.HEADER):
        yield path, (root / path).read_text(encoding="utf-8")
    for shard, _ in committed(root):
        line = manifest.commit_path(root, shard)
        yield line.relative_to(root).as_posix(), line.read_text(encoding="utf-8")
    tables = [path for path in manifest.plan_files(header) if path.endswith(".parquet")]
    for path in [INDEX, *tables, *map(annotation_path, annotation_names(root))]:
        yield path, "\n".join(_words(root / path))


def _words(path: Path) -> Iterator[str]:
    for field in pq.read_schema(path):
        if pa.types.is_string(field.type) and field.name not in ("key", "sha256", "mp4_sha256"):
            column = pq.read_table(path, columns=[field.name])[field.name]
            yield from (word for word in pc.unique(column).to_pylist() if word)


def _names(root: Path) -> Iterator[Objection]:
    if telling := [name for name in picture_names(root) if not is_neutral(name)]:
        shown = ", ".join(map(repr, telling[:SHOWN]))
        yield Objection(
            f"{len(telling)} file names of photographs may name people ({shown})",
            "publish with --strip-names, which puts numbers in their place",
        )


def picture_names(root: Path) -> list[str]:
    """File names of photographs in the plan's tables, those of portraits that were left out among them."""
    header = manifest.read_header(root)
    if header["source"] == "procedural":
        return []
    names: set[str] = set()
    for path in manifest.plan_files(header)[2:]:
        names |= {name for name in pq.read_table(root / path, columns=["reference"])["reference"].to_pylist() if name}
    return sorted(names)


def is_neutral(name: str) -> bool:
    """Whether a picture's path is of numbers, hashes and words that name nobody."""
    parts = PurePosixPath(name).with_suffix("").parts
    return all(_is_neutral_part(part) for part in parts)


def _is_neutral_part(part: str) -> bool:
    words = WORD.findall(HEX.sub(lambda found: "" if any(map(str.isdigit, found[0])) else found[0], part))
    return all(word.lower() in NEUTRAL for word in words)


def about(root: Path) -> dict[str, str]:
    """What a folder holds, for a curator's eyes: counts by split and group, what was left out, what was checked."""
    index = pq.read_table(root / INDEX, columns=["subject", "split", *GROUPS])
    header = manifest.read_header(root)
    facts = {"subjects": f"{pc.count_distinct(index['subject']).as_py():,}", "clips": f"{len(index):,}"}
    for name in ("split", *GROUPS):
        counts = {str(row["values"]): row["counts"] for row in pc.value_counts(index[name]).to_pylist()}
        facts[f"clips by {name.replace('_', ' ')}"] = ", ".join(
            f"{word} {count:,}" for word, count in sorted(counts.items())
        )
    with open(root / manifest.REJECTED, newline="", encoding="utf-8") as file:
        facts["left out"] = (
            f"{sum(1 for _ in csv.DictReader(file)):,} portraits or clips, with reasons in {manifest.REJECTED}"
        )
    facts["made from"] = (
        f"source {header['source']}, generator {header['generator']}, plan {header['plan_sha256'][:12]}"
    )
    if names := picture_names(root):
        facts["file names of photographs"] = f"{len(names):,}, e.g. {', '.join(names[:SHOWN])}"
    if header.get("curation"):
        taken = pq.read_table(root / manifest.CURATION, columns=["taken"])["taken"].to_pylist()
        facts["table of curation"] = f"scores of {len(taken):,} photographs, {taken.count(False):,} of them not taken"
    facts["checked"] = "every promise of the folder holds; no rejected clip; no e-mail address; no telling file name"
    return facts


def free_words(root: Path) -> dict[str, list[str]]:
    """Words of the index that no vocabulary binds and that repeat: who judged, licences, sources; for a curator's eyes.

    Columns whose words differ from clip to clip (captions, prompts) are left out.
    """
    names = [
        field.name
        for field in LABELS
        if pa.types.is_string(field.kind) and not field.words and field.name not in ("key", "subject", "portrait")
    ]
    table = pq.read_table(root / INDEX, columns=names)
    found: dict[str, list[str]] = {}
    for name in names:
        words = [word for word in pc.unique(table[name]).to_pylist() if word]
        if words and len(words) <= 20:
            found[name] = words
    header: dict[str, Any] = manifest.read_header(root)
    found["source options"] = [json.dumps(header["source_options"], ensure_ascii=False)]
    return found


def lines(found: Iterable[Objection]) -> str:
    """Objections in one line."""
    return " | ".join(map(str, found))
