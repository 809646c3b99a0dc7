"""A user's copy of a corpus: its folder, its annotation, the corrections, and the findings of reading it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, Ledger, RowFault, Span, numbered, read_event
from equime_loader.corpora.catalog import ENTRIES
from equime_loader.corpora.corrections import Correction, corrected
from equime_loader.corpora.events import CorpusEvent, Frames, Known, Reading, SignalSource, VideoFile
from equime_loader.corpora.frames import SHEETS, Tree, in_order, list_frames
from equime_loader.corpora.sheets import Form, Record, Sheet, SheetError, Table, find_table, read_sheets

# In place of an annotation file: none is read, though one may lie there. Corpora that need one say so.
NO_SHEET = Path("none")


class Copy:
    """What every adapter reads from.

    Attributes:
        corpus: short name. tree: what lies below the root. ledger: findings so far.
    """

    def __init__(
        self,
        corpus: str,
        root: Path,
        *,
        sheet: Path | None = None,
        corrections: Sequence[Correction] = (),
        frames: str | None = None,
    ) -> None:
        """
        Args:
            sheet: annotation file to read instead of the one that is found; `NO_SHEET` to read none.
            frames: a part of the path of the folders whose frames are wanted, e.g. ``Cropped``.

        Raises:
            FileNotFoundError: no such folder.
        """
        self.corpus = corpus
        self.tree = Tree(root)
        self.ledger = Ledger()
        self._sheet = sheet
        self._corrections = tuple(corrections)
        self._part = frames.casefold() if frames else ""
        self._frames: dict[Path, Frames | None] = {}

    def annotation(self, *patterns: str) -> Path | None:
        """The annotation file: the one given, else the first whose name a pattern (a regular expression) describes.

        Of several of one pattern the last by name is taken, since names end in their date; the others are a finding.
        """
        if self._sheet is not None:
            return None if self._sheet == NO_SHEET else self._sheet
        found = [path for pattern in patterns for path in reversed(self._sheets(pattern))]
        files = list(dict.fromkeys(found))
        if len(files) > 1:
            others = ", ".join(self.tree.relative(path) for path in files[1:])
            reason = f"read; other annotations lie beside it, and can be named instead: {others}"
            self.ledger.kept("annotation", self.tree.relative(files[0]), reason)
        return files[0] if files else None

    def _sheets(self, pattern: str) -> list[Path]:
        found = self.tree.named(pattern)
        # Excel keeps a lock file of that prefix beside a sheet that is open.
        return [path for path in found if path.suffix.lower() in SHEETS and not path.name.startswith(("~$", "._"))]

    def sheets(self, *patterns: str) -> tuple[Sheet, ...]:
        """The sheets of the annotation file.

        Raises:
            SheetError: none is there, or it cannot be read.
        """
        path = self.annotation(*patterns)
        if path is None:
            raise self.no_sheet()
        return read_sheets(path)

    def no_sheet(self) -> SheetError:
        """The error of a copy in which no annotation file is found."""
        like = next((f" such as {corpus.sheet}" for corpus in ENTRIES if corpus.name == self.corpus), "")
        return SheetError(
            f"{self.tree.root}: no annotation file{like}; if yours has another name, give it as --sheet FILE"
        )

    def table(self, patterns: Sequence[str], forms: Sequence[Form]) -> Table:
        """The annotation's table.

        Raises:
            SheetError: no annotation, or one of no known form.
        """
        return find_table(self.sheets(*patterns), forms)

    def rows(
        self,
        records: Iterable[Record],
        convert: Callable[[Record], Annotation],
        *,
        name: Callable[[Record], str] = lambda record: f"{record.get('subject')}/{record.get('clip')}",
    ) -> tuple[Annotation, ...]:
        """The annotation of every record, with the user's corrections.

        Args:
            convert: gives a record's annotation, or raises `RowFault`, which is a finding.
            name: what such a finding calls the record; another one where its cells hold names of persons.
        """
        rows: list[Annotation] = []
        for record in records:
            try:
                rows.append(convert(record))
            except RowFault as fault:
                self.ledger.left_out(record.where, name(record), str(fault))
        return self.corrected(rows)

    def corrected(self, rows: Iterable[Annotation]) -> tuple[Annotation, ...]:
        """Rows with the user's corrections."""
        return corrected(rows, self._corrections, self.corpus, self.ledger)

    def frames(self, paths: Iterable[Path], order: Sequence[str] = (), *, first: int = 0) -> list[Frames]:
        """The frames in these folders and videos, best first: in the order of `order`, see `in_order`.

        Args:
            first: number of a video's first frame.
        """
        found = (self._recording(path, first) for path in in_order(self.wanted(paths), self.tree.root, order))
        return [frames for frames in found if frames is not None]

    def wanted(self, paths: Iterable[Path]) -> list[Path]:
        """Those of some folders and videos that the user wants to be read."""
        return [path for path in paths if self._part in self.tree.relative(path).casefold()]

    def _recording(self, path: Path, first: int) -> Frames | None:
        if path not in self._frames:
            self._frames[path] = self._listed(path) if path.is_dir() else VideoFile(path, first)
        return self._frames[path]

    def _listed(self, folder: Path) -> Frames | None:
        listing = list_frames(folder)
        if listing.frames is not None and listing.strays:
            some = ", ".join(listing.strays[:3]) + (", …" if len(listing.strays) > 3 else "")
            reason = f"not read, since no frames of the recording: {some} ({len(listing.strays)} in all)"
            self.ledger.kept(self.tree.relative(folder), folder.name, reason)
        return listing.frames

    def event(
        self,
        row: Annotation,
        candidates: Sequence[Frames],
        rules: Conventions,
        *,
        span: Span | None = None,
        signals: tuple[SignalSource, ...] = (),
    ) -> CorpusEvent | None:
        """See `read_event`."""
        return read_event(row, candidates, rules, self.ledger, span=span, signals=signals)

    def reading(self, sheet: str, rows: int, events: Iterable[CorpusEvent | None], known: Known) -> Reading:
        """What was read, events of a clip numbered by time."""
        kept = numbered([event for event in events if event is not None], self.ledger)
        return Reading(self.corpus, sheet, rows, kept, self.ledger.findings, known)
