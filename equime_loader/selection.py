"""Selections: which clips of an index, as values that can be narrowed, printed, saved and loaded."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equime_loader.arguments import check_kind, nearest
from equime_loader.files import write_atomic
from equime_loader.index import Codes, Index
from equime_loader.schema import AUS, FIELD, LABELS, Field
from equime_loader.storage.errors import one_line
from equime_loader.tables import counted

FORMAT = "equime-selection-1"
MAX_FILE = 64 * 2**20
# Of what a file says, as it is shown.
MAX_MESSAGE, MAX_STEP = 500, 10_000
SHOWN = ("split", "emotion", "apparent_gender", "apparent_race", "age_group")

Mask = NDArray[np.bool_]


class SelectionError(ValueError):
    """A saved selection that is damaged or belongs to another index; the message is one line that can be shown."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, MAX_MESSAGE))


class Selection:
    """Clips of an index: a value that can be compared and pickled, with its rows.

    Narrowing gives a new selection; nothing is read before it is needed.

    Attributes:
        index: whose clips.
        steps: one line for each narrowing, for people and for reports.
        seed: of the draw that made it, where there was one.
    """

    def __init__(
        self, index: Index, rows: Callable[[], NDArray[np.int64]], steps: tuple[str, ...] = (), seed: int | None = None
    ) -> None:
        self.index = index
        self.steps = steps
        self.seed = seed
        self._compute = rows

    @classmethod
    def all(cls, index: Index) -> Selection:
        """Every clip of an index."""
        return cls(index, lambda: np.arange(len(index), dtype=np.int64))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers in the index, (n,) int64, ascending."""
        rows = self._compute()
        rows.flags.writeable = False
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and self._same_index(other) and np.array_equal(self.rows, other.rows)

    def __hash__(self) -> int:
        return hash(self.rows.tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_rows, (self.index, self.rows, self.steps, self.seed)

    def _same_index(self, other: Selection) -> bool:
        return self.index is other.index or self.index.sha256 == other.index.sha256

    # --- narrowing

    def where(self, **labels: Any) -> Selection:
        """Clips whose labels are as asked: `where(emotion=["fear", "anger"], split="train", psnr_db=(30, None))`.

        Args:
            labels: by field name. Words: one word, several of which any will do, or None for "not labeled". Numbers:
                a number, None for "not measured", or an inclusive range `(least, most)` where None leaves an end open.
                A list of numbers is refused: of words it would be several of which any will do.

        Raises:
            TypeError: something else than words or numbers. ValueError: no such field, a word that the field cannot
            hold, a range upside down.
        """
        if not labels:
            return self
        steps, masks = zip(*(self._condition(name, wanted) for name, wanted in labels.items()), strict=True)
        return self._masked(masks, ", ".join(steps))

    def having_au(self, au: int, *, at_least: float = 0.0, at_most: float = 5.0, side: str | None = None) -> Selection:
        """Clips where an AU acts, with its peak intensity (0-5) within bounds, on one side where asked.

        Where a coder gave no intensity, a clip is found when no bounds are asked for.

        Raises:
            TypeError: bounds that are no numbers. ValueError: an AU that the schema does not know, bounds outside 0..5
            or upside down, an unknown side.
        """
        if au not in AUS:
            raise ValueError(f"{au=} must be one of {', '.join(map(str, AUS))}")
        for name, bound in (("at_least", at_least), ("at_most", at_most)):
            check_kind(name, bound, Real, "an intensity within 0..5")
        if not 0 <= at_least <= at_most <= 5:
            raise ValueError(f"{at_least=}, {at_most=} must satisfy 0 <= at_least <= at_most <= 5")
        if side not in (None, "both", "left", "right"):
            raise ValueError(f"{side=} must be both, left or right")

        def mask() -> Mask:
            peaks = self.index.au_intensity(au, side=side)
            unbounded = (at_least, at_most) == (0.0, 5.0)
            return ((peaks > 0) & (peaks >= at_least) & (peaks <= at_most)) | (np.isnan(peaks) & unbounded)

        bounds = f" at {at_least:g}-{at_most:g}" if (at_least, at_most) != (0.0, 5.0) else ""
        return self._masked([mask], f"AU{au}{bounds}{f' {side}' if side else ''}")

    def without_au(self, au: int) -> Selection:
        """Clips where an AU does not act. Those of corpora that do not tell their AUs are left out.

        Raises:
            ValueError: an AU that the schema does not know.
        """
        if au not in AUS:
            raise ValueError(f"{au=} must be one of {', '.join(map(str, AUS))}")
        return self._masked([lambda: (self.index.au_intensity(au) == 0) & self.index.au_told()], f"no AU{au}")

    def accepted(self) -> Selection:
        """Clips that the audit accepted."""
        return self.where(audit_verdict="accepted")

    def narrowed(
        self, positions: Sequence[int] | NDArray[np.int64] | Mask, step: str, *, seed: int | None = None
    ) -> Selection:
        """The clips at some positions of this selection (numbers or a mask (n,)), told as one step.

        Raises:
            TypeError: neither numbers nor a mask. ValueError: a mask of another length, a position outside the
            selection, or one that stands twice.
        """
        positions = np.asarray(positions)
        if positions.ndim != 1 or (len(positions) and positions.dtype.kind not in "biu"):
            raise TypeError(f"positions must be whole numbers or a mask; they are {positions.dtype} {positions.shape}")
        chosen = np.flatnonzero(positions) if positions.dtype == np.bool_ else np.sort(positions.astype(np.int64))
        if positions.dtype == np.bool_ and len(positions) != len(self):
            raise ValueError(f"a mask of {len(positions)} for {len(self)} clips")
        if len(chosen) and not (chosen[0] >= 0 and chosen[-1] < len(self)):
            raise ValueError(
                f"position {chosen[0] if chosen[0] < 0 else chosen[-1]} must lie within 0..{len(self) - 1}"
            )
        if len(chosen) > 1 and (np.diff(chosen) == 0).any():
            raise ValueError(f"position {chosen[:-1][np.diff(chosen) == 0][0]} stands more than once")
        return _of_rows(self.index, self.rows[chosen], (*self.steps, step), self.seed if seed is None else seed)

    def __and__(self, other: Selection) -> Selection:
        return self._combined(other, np.intersect1d, "and")

    def __or__(self, other: Selection) -> Selection:
        return self._combined(other, np.union1d, "or")

    def __sub__(self, other: Selection) -> Selection:
        return self._combined(other, np.setdiff1d, "without")

    def _combined(self, other: Selection, how: Callable[..., NDArray[np.int64]], word: str) -> Selection:
        check_kind("the other", other, Selection, "a Selection")
        if not self._same_index(other):
            raise SelectionError(f"{self.index.root} and {other.index.root} have different indices")
        step = f"({'; '.join(self.steps) or 'all'}) {word} ({'; '.join(other.steps) or 'all'})"
        return Selection(self.index, lambda: how(self.rows, other.rows).astype(np.int64), (step,))

    def _masked(self, masks: Iterable[Callable[[], Mask]], step: str) -> Selection:
        masks = tuple(masks)

        def rows() -> NDArray[np.int64]:
            kept = np.ones(len(self.index), np.bool_)
            for mask in masks:
                kept &= mask()
            return self.rows[kept[self.rows]]

        return Selection(self.index, rows, (*self.steps, step), self.seed)

    def _condition(self, name: str, wanted: Any) -> tuple[str, Callable[[], Mask]]:
        field = label_field(name)
        if pa.types.is_string(field.kind):
            words = _words(field, wanted)
            told = ", ".join(sorted("not labeled" if word is None else str(word) for word in words))
            return f"{name}: {told}", lambda: _is_word(self.index.codes(name), words)
        if pa.types.is_integer(field.kind) or pa.types.is_floating(field.kind):
            if wanted is None:
                return f"{name}: not measured", lambda: np.isnan(self.index.numbers(name))
            least, most = _range(name, wanted)
            told = f"{name}: {'' if least is None else least}..{'' if most is None else most}"
            low, high = -np.inf if least is None else least, np.inf if most is None else most
            return told, lambda: _within(self.index.numbers(name), low, high)
        how = "having_au() selects by AU" if name == "aus" else "where() takes labels of words and of numbers"
        raise ValueError(f"{name!r} holds {field.kind}; {how}")

    # --- reading

    def codes(self, name: str) -> Codes:
        """A label of the selected clips as codes (n,); see `Index.codes`."""
        codes = self.index.codes(name)
        return Codes(codes.codes[self.rows], codes.words)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A label of numbers of the selected clips, (n,) float64; see `Index.numbers`."""
        return self.index.numbers(name)[self.rows]

    def labels(self, names: Collection[str] | None = None, *, positions: Any = slice(None)) -> list[dict[str, Any]]:
        """Labels of the selected clips (or of those at some positions) as Python values, by field.

        Raises:
            TypeError: `names` is a word. KeyError: there is no such label.
        """
        if isinstance(names, str):
            raise TypeError(f"names must be a list of labels; it is {names!r}")
        return self.index.rows(self.rows[positions], tuple(names or (field.name for field in LABELS)))

    def counts(self, name: str) -> dict[str | None, int]:
        """How many clips carry each word of a label, words that none carries left out, None for null."""
        codes = self.codes(name)
        tally = np.bincount(codes.codes + 1, minlength=len(codes.words) + 1)
        return {word: int(count) for word, count in zip((None, *codes.words), tally, strict=True) if count}

    def __repr__(self) -> str:
        subjects = len(np.unique(self.codes("subject").codes))
        lines = [
            f"{len(self):,} of {counted(len(self.index), 'clip')}, {counted(subjects, 'subject')}, of {self.index.root}"
        ]
        lines += [f"  chosen by {step}" for step in self.steps]
        for name in SHOWN:
            told = ", ".join(f"{'not labeled' if w is None else w} {n:,}" for w, n in self.counts(name).items())
            lines.append(f"  {name}: {told or 'none'}")
        return "\n".join(lines)

    # --- files

    @property
    def sha256(self) -> str:
        """SHA-256 of the rows and of the index they belong to: equal for equal selections."""
        return hashlib.sha256(f"{self.index.sha256}:".encode() + self.rows.astype("<i8").tobytes()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the selection to a small JSON file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        bits = np.zeros(len(self.index), np.bool_)
        bits[self.rows] = True
        content = {
            "format": FORMAT,
            "index_sha256": self.index.sha256,
            "index_rows": len(self.index),
            "clips": len(self),
            "seed": self.seed,
            "steps": list(self.steps),
            "sha256": self.sha256,
            "rows": base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 9)).decode(),
        }
        write_atomic(Path(path), f"{json.dumps(content, indent=1)}\n".encode(), shared=True)

    @classmethod
    def load(cls, path: str | Path, index: Index) -> Selection:
        """Read a selection that was saved for this index.

        Raises:
            SelectionError: a damaged file, or one that was saved for another index. OSError: none that can be read.
            TypeError: `index` is no index.
        """
        check_kind("index", index, Index, "an Index, such as `clips.index`")
        try:
            content = _read(Path(path))
            if content["format"] != FORMAT:
                raise SelectionError(f"{path}: format {content['format']!r}, this version reads {FORMAT}")
            if content["index_sha256"] != index.sha256 or content["index_rows"] != len(index):
                raise SelectionError(
                    f"{path}: was saved for an index of {content['index_rows']} clips with sha256 "
                    f"{content['index_sha256'][:12]}…; {index.root} has {len(index)} clips, {index.sha256[:12]}…. "
                    "Load it with the dataset it was made from."
                )
            size = -(-len(index) // 8)
            data = zlib.decompressobj().decompress(base64.b64decode(content["rows"], validate=True), size + 1)
            if len(data) != size:
                raise SelectionError(f"{path}: holds {len(data)} bytes of rows, expected {size}")
            rows = np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8), count=len(index)))
            seed = content["seed"]
            if not (seed is None or isinstance(seed, int)):
                raise SelectionError(f"{path}: seed={seed!r} must be a whole number")
            steps = tuple(one_line(str(step), MAX_STEP) for step in content["steps"])
            selection = _of_rows(index, rows, steps, seed)
            if selection.sha256 != content["sha256"]:
                raise SelectionError(f"{path}: rows do not match their sha256; the file is damaged")
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError, zlib.error) as error:
            if isinstance(error, SelectionError):
                raise
            raise SelectionError(f"{path}: is no saved selection ({error})") from error
        return selection


def _read(path: Path) -> Any:
    if path.stat().st_size > MAX_FILE:
        raise SelectionError(f"{path}: {path.stat().st_size} bytes, a selection has at most {MAX_FILE}")
    return json.loads(path.read_text(encoding="utf-8"))


def _of_rows(index: Index, rows: NDArray[np.int64], steps: tuple[str, ...], seed: int | None) -> Selection:
    return Selection(index, lambda: rows, steps, seed)


def label_field(name: str) -> Field:
    """A label by its name.

    Raises:
        ValueError: there is none; the message names those that are like it.
    """
    check_kind("a label", name, str, "a name")
    if name not in FIELD or FIELD[name] not in LABELS:
        raise ValueError(f"no label {name!r}; {nearest(name, (field.name for field in LABELS))}")
    return FIELD[name]


def _words(field: Field, wanted: Any) -> set[str | None]:
    several = [wanted] if wanted is None or isinstance(wanted, str) else wanted
    check_kind(field.name, several, Iterable, "a word, several words, or None")
    several = list(several)
    for word in several:
        check_kind(field.name, word, (str, NoneType), "a word, several words, or None")
    if field.words and (strange := [word for word in several if word not in (*field.words, None)]):
        raise ValueError(f"{field.name}={strange[0]!r} must be one of {', '.join(field.words)}")
    return set(several)


def _range(name: str, wanted: Any) -> tuple[float | None, float | None]:
    told = "a number, or a range (least, most) of which None leaves an end open"
    check_kind(name, wanted, (Real, tuple), told)
    ends = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    if len(ends) != 2:
        raise ValueError(f"{name}={wanted!r} must be {told}")
    for end in ends:
        check_kind(name, end, (Real, NoneType), told)
    least, most = ends
    if least is not None and most is not None and least > most:
        raise ValueError(f"{name}={wanted!r}: the range is upside down")
    return least, most


def _is_word(codes: Codes, words: set[str | None]) -> Mask:
    wanted = np.array([word in words for word in (*codes.words, None)], np.bool_)
    return wanted[codes.codes]  # -1, the code of null, picks the last


def _within(numbers: NDArray[np.float64], low: float, high: float) -> Mask:
    return (numbers >= low) & (numbers <= high)
