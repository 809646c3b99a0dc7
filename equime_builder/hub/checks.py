"""What stands against publishing a folder: faults, rejected clips, names and addresses, limits of the Hub."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.finish import INDEX, hashed_files
from equime_builder.hub.people import DRAWN, PUBLIC, traces
from equime_builder.hub.words import word_list
from equime_builder.pictures import SUFFIXES
from equime_builder.verify import dataset_faults
from equime_loader.schema import LABELS
from equime_loader.tables import counted

# Compared with text in the normal form NFKC: full-width signs are plain ones there. A revision like `@v1.0.0` is none.
EMAIL = re.compile(r"[\w.+-]+(?:@|%40)(?:(?:[\w-]+\.)+[^\W\d_][\w-]+|localhost\b|\[[\d.:a-fA-F]+\])")
# Words in the name of a picture that name nobody. A word of another kind may be somebody's name.
NEUTRAL = word_list("neutral_words.txt")
SEPARATOR, LETTERS = re.compile(r"[\W_]+"), re.compile(r"[^\W\d_]+")
HEX = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
# How often letters and digits take turns in a hash, at least; names with a number behind them have one turn.
TURN = re.compile(r"(?<=\d)(?=[a-f])|(?<=[a-f])(?=\d)", re.IGNORECASE)
TURNS_OF_A_HASH = 3
# Endings that say what kind of file it is.
FILES = (*SUFFIXES, ".csv")
SHOWN = 3
# Columns of words that are made of a clip's own labels, and differ from clip to clip.
OF_A_CLIP = ("key", "subject", "portrait", "au_text", "caption", "prompt", "counterfactual_group", "intervention")
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
    if faults := dataset_faults(root, progress=progress):
        return [
            Objection(f"{counted(len(faults), 'fault')}, first {faults[0]}", "mend them with `equime verify --repair`")
        ]
    return [*_rejected_clips(root), *_addresses(root), *_photographs(root)]


def _rejected_clips(root: Path) -> Iterator[Objection]:
    index = pq.read_table(root / INDEX, columns=["key", "audit_verdict", "review_verdict"])
    for column, by in (("audit_verdict", "audit"), ("review_verdict", "review")):
        keys = index.filter(pc.equal(index[column], "rejected"))["key"].to_pylist()
        if keys:
            yield Objection(
                f"{counted(len(keys), 'clip')} that the {by} rejected, e.g. {keys[0]}",
                "leave them out with --without-rejected, or build again with another seed or profile",
            )
    kept = set(index["key"].to_pylist())
    for _, commit in manifest.committed(root):
        if held := [each.name for each in commit.rejected if each.name in kept]:
            yield Objection(f"{held[0]} was rejected and is in the index", "mend it with `equime verify --repair`")


def _addresses(root: Path) -> Iterator[Objection]:
    for path, text in published_text(root):
        if found := addresses(text):
            yield Objection(
                f"{path} holds {counted(len(found), 'e-mail address', 'e-mail addresses')}",
                "remove them where they come from (attributes, license, notes of an annotation) and build again",
            )


def published_text(root: Path) -> Iterator[tuple[str, str]]:
    """Every text that a publication shows, by the file that it is in; a table as its distinct words."""
    lines = (manifest.commit_path(root, shard).relative_to(root).as_posix() for shard, _ in manifest.committed(root))
    for path in (*hashed_files(root), *lines):
        is_table = path.endswith(".parquet")
        yield path, "\n".join(_words(root / path)) if is_table else (root / path).read_text(encoding="utf-8")


def _words(path: Path) -> Iterator[str]:
    for field in pq.read_schema(path):
        if pa.types.is_string(field.type) and field.name not in ("key", "sha256", "mp4_sha256"):
            column = pq.read_table(path, columns=[field.name])[field.name]
            yield from (word for word in pc.unique(column).to_pylist() if word)


def addresses(text: str) -> list[str]:
    """E-mail addresses in a text, however their signs are written."""
    return EMAIL.findall(unicodedata.normalize("NFKC", text))


def _photographs(root: Path) -> Iterator[Objection]:
    """What a folder tells of photographs, and of people who are not in it."""
    found = traces(root)
    telling = [name for name in found.names if not is_neutral(name)]
    shown = ", ".join(map(repr, telling[:SHOWN]))
    wrong = (
        (len(telling), f"{counted(len(telling), 'file name')} of photographs may name people ({shown})"),
        (
            found.hashes,
            f"{counted(found.hashes, 'hash', 'hashes')} of photographs: whoever has one can tell who takes part",
        ),
        (
            found.absent,
            f"{counted(found.absent, 'photograph')} of people who are not in the dataset, with what was found there",
        ),
        (found.left, f"{counted(found.left, 'note')} of earlier editions with names of people who have left"),
    )
    for count, what in wrong:
        if count:
            yield Objection(what, "publish with --strip-names, which takes them out")
    table = manifest.read_header(root)["source_options"].get("attributes")
    if table and not is_neutral(table):
        yield Objection(
            f"the name of the table of attributes, {table!r}, may name people, and stands in every clip's labels",
            "rename the table and build again",
        )


def picture_names(root: Path) -> list[str]:
    """File names of photographs in the plan's tables, those of portraits that were left out among them."""
    header = manifest.read_header(root)
    if header["source"] == DRAWN:
        return []
    names: set[str] = set()
    for path in manifest.plan_files(header)[2:]:
        names |= {name for name in pq.read_table(root / path, columns=["reference"])["reference"].to_pylist() if name}
    return sorted(names)


def is_neutral(name: str) -> bool:
    """Whether a picture's path is of numbers, hashes and words that name nobody."""
    stem = name[: -len(ending)] if (ending := PurePosixPath(name).suffix).lower() in FILES else name
    return all(_is_neutral_part(part) for part in SEPARATOR.split(unicodedata.normalize("NFKC", stem)))


def _is_neutral_part(part: str) -> bool:
    """Of what stands between separators: numbers, a word with or without a number, one letter with a number, a hash."""
    if HEX.fullmatch(part) and len(TURN.findall(part)) >= TURNS_OF_A_HASH:
        return True
    words = LETTERS.findall(part)
    return all(word.lower() in NEUTRAL or (len(word) == 1 and words == [word] != [part]) for word in words)


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
    if empty := _without_clips(root, index):
        facts["planned, and without a clip"] = ", ".join(empty)
    if header["source"] not in (*PUBLIC, DRAWN):
        facts["hashes of photographs"] = (
            "subject and portrait of a clip hold 10 and 16 digits of its photograph's SHA-256: whoever has a "
            "photograph can tell that it was used"
        )
    if header.get("curation"):
        taken = pq.read_table(root / manifest.CURATION, columns=["taken"])["taken"].to_pylist()
        facts["table of curation"] = f"scores of {len(taken):,} photographs, {taken.count(False):,} of them not taken"
    facts["checked"] = (
        "every promise of the folder holds; no rejected clip; no e-mail address; no telling file name; no hash of a "
        "photograph that is not public; nobody who is not in the dataset"
    )
    return facts


def _without_clips(root: Path, index: pa.Table) -> list[str]:
    """Splits and emotions that were planned and have no clip: nobody can load or compare them."""
    header = manifest.read_header(root)
    planned = {"split": header["shards"], "emotion": header["profile"]["emotions"]}
    present = {name: set(index[name].to_pylist()) for name in planned}
    return [f"{name} {word}" for name, words in planned.items() for word in words if word not in present[name]]


def free_words(root: Path) -> dict[str, list[str]]:
    """Words of the index that no vocabulary binds: who judged, licenses, sources, notes; for a curator's eyes.

    What is made of a clip's own labels (captions, prompts) is left out.
    """
    names = [
        field.name
        for field in LABELS
        if pa.types.is_string(field.kind) and not field.words and field.name not in OF_A_CLIP
    ]
    table = pq.read_table(root / INDEX, columns=names)
    unique = {name: [word for word in pc.unique(table[name]).to_pylist() if word] for name in names}
    found = {name: words for name, words in unique.items() if words}
    header: dict[str, Any] = manifest.read_header(root)
    found["source options"] = [json.dumps(header["source_options"], ensure_ascii=False)]
    return found


def lines(found: Iterable[Objection]) -> str:
    """Objections in one line."""
    return " | ".join(map(str, found))
