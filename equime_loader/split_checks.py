"""What is to be known of splits: that no subject is in two of them, and how even they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import as_names, check_kind
from equime_loader.joined import own_words, unjoined
from equime_loader.selection import Selection
from equime_loader.stratify import cells_of
from equime_loader.tables import counted, percent, text_table

STRATIFY: tuple[str, ...] = ("emotion", "apparent_gender", "apparent_race", "age_group")
PEOPLE: tuple[str, ...] = ("subject", "portrait")
_EXAMPLES = 3


class LeakageError(ValueError):
    """Splits that share subjects or portraits.

    Attributes:
        shared: by field and word, the splits in which it stands.
    """

    def __init__(self, message: str, shared: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
        super().__init__(message)
        self.shared = shared


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """What was found apart. `distinct`: by field, words in each split; `unknown`: by field, clips without a word."""

    splits: tuple[str, ...]
    distinct: Mapping[str, tuple[int, ...]]
    unknown: Mapping[str, int]

    def __str__(self) -> str:
        rows = [(field, *(f"{count:,}" for count in counts)) for field, counts in self.distinct.items()]
        notes = [
            f"without {field}, so that nothing is known: {counted(n, 'clip')}" for field, n in self.unknown.items() if n
        ]
        return "\n".join([text_table(("in one split only", *self.splits), rows), *notes])


def check_leakage(
    splits: Mapping[str, Selection] | Sequence[Selection], *, by: str | Sequence[str] = PEOPLE
) -> LeakageReport:
    """Check that no two splits share a word of the given fields, also where they are of different folders.

    Of different folders, only words are compared that mean the same in both, as `join` takes them: portraits, and the
    subjects of imported corpora. A subject that was built here has the name of another one elsewhere. Clips without a
    word cannot be compared; the report counts them.

    Args:
        by: fields to compare. `counterfactual_group` is another one to think of: those clips share a program.

    Raises:
        LeakageError: naming the subjects, and in which splits they stand.
    """
    named, by = _named(splits), as_names("by", by)
    shared, distinct, unknown = {}, {}, {}
    for field in by:
        columns, words = common_codes(list(named.values()), field)
        present = [np.unique(codes[codes >= 0]) for codes in columns]
        distinct[field] = tuple(len(found) for found in present)
        unknown[field] = sum(int((codes < 0).sum()) for codes in columns)
        shared[field] = _shared(present, words, tuple(named))
    found = {field: where for field, where in shared.items() if where}
    if found:
        raise LeakageError("; ".join(_told(found, named, by)), found)
    return LeakageReport(tuple(named), distinct, unknown)


def _shared(
    present: list[NDArray[np.int32]], words: tuple[str, ...], names: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    everything = np.concatenate(present)
    splits = np.repeat(np.arange(len(present)), [len(found) for found in present])
    order = np.argsort(everything, kind="stable")
    twice, start, count = np.unique(everything[order], return_index=True, return_counts=True)
    return {
        words[twice[which]]: tuple(names[split] for split in splits[order[start[which] : start[which] + count[which]]])
        for which in np.flatnonzero(count > 1)
    }


def _told(
    found: Mapping[str, Mapping[str, tuple[str, ...]]], named: Mapping[str, Selection], by: Sequence[str]
) -> Iterator[str]:
    """What is shared: subjects by name; of anything else whose it is, where no subject says so already.

    Splits of one dataset can be divided again, which is said last; two datasets cannot.
    """
    for field in sorted(found, key=lambda field: field != "subject"):
        where = found[field]
        words = f"{len(where)} {plural(field) if len(where) > 1 else field} in more than one split"
        if field == "subject" or "subject" not in found:
            examples = [_example(field, word, where[word], named) for word in list(where)[:_EXAMPLES]]
            words += f" ({', '.join(examples)}{', …' if len(where) > _EXAMPLES else ''})"
        yield words
    if len({id(part.index) for part in named.values()}) == 1:
        yield f"split again, as holdout(selection, by={tuple(by)}) does"


def _example(field: str, word: str, splits: tuple[str, ...], named: Mapping[str, Selection]) -> str:
    """`s0003 in train and s0007 in test`: who has the word in each split; the word itself where nobody is named."""
    if field == "subject":
        return f"{word} in {' and '.join(splits)}"
    return " and ".join(f"{_subject_with(field, word, named[split]) or word} in {split}" for split in splits)


def _subject_with(field: str, word: str, split: Selection) -> str | None:
    """A subject of the clips with a word; None where they name none."""
    for part in unjoined(split):
        codes, subjects = part.codes(field), part.codes("subject")
        having = subjects.codes[codes.codes == codes.words.index(word)] if word in codes.words else subjects.codes[:0]
        if (last := int(having.max(initial=-1))) >= 0:
            return subjects.words[last]
    return None


def plural(field: str) -> str:
    """What several words of a field are called."""
    return "corpora" if field == "corpus" else f"{field}s"


def _named(splits: Mapping[str, Selection] | Sequence[Selection]) -> dict[str, Selection]:
    told = "selections by name, as holdout gives, or a list of them"
    check_kind("splits", splits, (Mapping, Sequence), told)
    named = dict(splits) if isinstance(splits, Mapping) else {f"split {n}": part for n, part in enumerate(splits)}
    if not named:
        raise ValueError("splits: there is none")
    for name, part in named.items():
        check_kind(f"splits: {name}", part, Selection, "a Selection")
    return named


def common_codes(selections: Sequence[Selection], field: str) -> tuple[list[NDArray[np.int32]], tuple[str, ...]]:
    """Codes of each selection in one vocabulary, whatever their indices' are.

    Where those are several, words that mean something in their own folder alone are told apart by it.
    """
    columns = [selection.codes(field) for selection in selections]
    if len({id(selection.index) for selection in selections}) == 1:
        return [column.codes for column in columns], columns[0].words
    place: dict[tuple[str, str], int] = {}
    return [
        np.concatenate([_placed(part, field, place) for part in unjoined(selection)]) for selection in selections
    ], tuple(word for _, word in place)


def _placed(selection: Selection, field: str, place: dict[tuple[str, str], int]) -> NDArray[np.int32]:
    """Codes of a folder's clips in a vocabulary that grows by their words: each with the hash of its folder, or ''."""
    column, own = selection.codes(field), own_words(selection, field)
    folder = selection.index.sha256 if own.any() else ""
    everywhere, here = (
        np.array([*(place.setdefault((where, word), len(place)) for word in column.words), -1], np.int32)[column.codes]
        for where in ("", folder)  # -1, the code of null, picks the last
    )
    return np.where(own, here, everywhere)


# --- the report


@dataclass(frozen=True, slots=True)
class SplitSize:
    """What a split holds, and the share or count of subjects that was asked for, where that is known."""

    name: str
    subjects: int
    clips: int
    asked: float | None


@dataclass(frozen=True, slots=True)
class Deviation:
    """The word of a field whose share of a split's clips differs most from its share of all of them."""

    field: str
    word: str
    split: str
    share: float
    overall: float


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How even some splits are.

    Attributes:
        worst: for each field. strata: combinations of all fields that occur.
        scarce: those among them with fewer subjects than there are splits, which cannot be in all of them.
    """

    by: str
    sizes: tuple[SplitSize, ...]
    worst: tuple[Deviation, ...]
    strata: int
    scarce: int

    def __str__(self) -> str:
        subjects, clips = sum(size.subjects for size in self.sizes), sum(size.clips for size in self.sizes)
        rows = [
            (
                size.name,
                f"{size.subjects:,}",
                percent(size.subjects, subjects),
                "–" if size.asked is None else f"{size.asked:,}" if size.asked >= 1 else percent(size.asked, 1),
                f"{size.clips:,}",
                percent(size.clips, clips),
            )
            for size in self.sizes
        ]
        lines = [text_table(("split", plural(self.by), "share", "asked", "clips", "share"), rows)]
        if self.worst:
            lines.append("share of a word that differs most between a split and all of them")
            columns = ("field", "word", "split", "in the split", "in all")
            lines.append(
                text_table(
                    columns,
                    [(d.field, d.word, d.split, percent(d.share, 1), percent(d.overall, 1)) for d in self.worst],
                )
            )
            strata = " × ".join(deviation.field for deviation in self.worst)
            lines.append(
                f"{self.scarce:,} of {self.strata:,} strata ({strata}) have fewer {plural(self.by)} than there are "
                f"splits ({len(self.sizes)}), so that not every split has them"
            )
        return "\n".join(lines)


def split_report(
    splits: Mapping[str, Selection] | Sequence[Selection],
    *,
    sizes: Mapping[str, float] | None = None,
    by: str = "subject",
    stratify: str | Sequence[str] = STRATIFY,
) -> SplitReport:
    """Measure how even splits are: those made here, or any others, such as `split` of the dataset.

    Args:
        sizes: what was asked for, by name, to be told beside what was got.
    """
    named = _named(splits)
    check_kind("sizes", sizes, (Mapping, NoneType), "what was asked for, by name, such as {'train': 0.8, 'test': 0.2}")
    selections, names = list(named.values()), tuple(named)
    which = np.repeat(np.arange(len(names)), [len(selection) for selection in selections])
    groups = np.concatenate(common_codes(selections, by)[0])
    columns, worst = [], []
    for field in as_names("stratify", stratify):
        codes, words = common_codes(selections, field)
        columns.append(np.concatenate(codes))
        worst.append(_deviation(field, words, columns[-1], which, names))
    cells, strata = cells_of(columns, len(which))
    pairs, _ = cells_of([cells, groups], len(which))
    owners = np.zeros(int(pairs.max(initial=-1)) + 1, np.int64)
    owners[pairs] = cells
    scarce = int((np.bincount(owners, minlength=strata) < len(names)).sum())
    return SplitReport(
        by,
        tuple(
            SplitSize(name, len(np.unique(groups[which == number])), len(part), (sizes or {}).get(name))
            for number, (name, part) in enumerate(named.items())
        ),
        tuple(worst),
        strata,
        scarce,
    )


def _deviation(
    field: str, words: tuple[str, ...], codes: NDArray[np.int32], which: NDArray[np.int64], names: tuple[str, ...]
) -> Deviation:
    told = (*words, "not labeled")
    cells = np.where(codes < 0, len(words), codes).astype(np.int64) * len(names) + which
    counts = np.bincount(cells, minlength=len(told) * len(names)).reshape(len(told), len(names))
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    overall = counts.sum(axis=1) / max(counts.sum(), 1)
    off = np.where(overall[:, None] > 0, np.abs(shares - overall[:, None]), -1.0)  # only words that occur
    word, split = np.unravel_index(np.argmax(off), off.shape)
    return Deviation(field, told[word], names[split], float(shares[word, split]), float(overall[word]))
