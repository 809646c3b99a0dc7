"""The folder that `equime curate` writes: what is found out is kept at once, so that a killed run goes on.

curation.parquet    every candidate: scores, landmarks, estimates, decision; what `equime build --curation` takes
curation.csv        the same without landmarks, for reading
rates.csv           how many of each declared group pass the thresholds
agreement.csv       source and estimator: how often they agree; disagreements.csv: where not
sheet.png           who was taken, and who not and why
parts/              scores and estimates of a run that is not finished
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout

from equime_builder.attributes.agreement import CASE_COLUMNS, Agreement
from equime_builder.attributes.estimates import Estimate
from equime_builder.curation.rates import passing_rates
from equime_builder.curation.scores import Scores
from equime_builder.curation.scoring import Scored
from equime_builder.curation.table import (
    ESTIMATE,
    FILE,
    LANDMARKS,
    SCORES,
    Known,
    estimate_row,
    make_table,
    read_known,
    scores_row,
    write_csv,
    write_table,
)
from equime_loader.files import TEMPORARY_SUFFIX

TABLE, SHEET, RATES = "curation.csv", "sheet.png", "rates.csv"
AGREEMENT, DISAGREEMENTS = "agreement.csv", "disagreements.csv"
_PARTS, _LOCK = "parts", ".lock"
_PART = re.compile(r"\.?\d{6,}\.parquet(\.tmp)?")  # also of one that was being written
_SHA256 = SCORES[:1]


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of curation. Make it with `open_store`."""

    root: Path

    def known(self) -> Known:
        """What this and earlier runs found out.

        Raises:
            ValueError: the folder holds a table of another version, or a damaged one.
        """
        table = self.root / FILE
        return read_known(*([table] if table.is_file() else []), *self._parts())

    def _parts(self) -> list[Path]:
        return sorted((self.root / _PARTS).glob("*.parquet"))

    def keep_scores(self, scored: Iterable[Scored]) -> None:
        """Keep scores of files that could be read; the others cost nothing to be tried again."""
        rows = [scores_row(each.sha256, each.scores) for each in scored if each.sha256 is not None]
        self._keep(make_table(rows, (*SCORES, *LANDMARKS)))

    def keep_estimates(self, estimates: Mapping[str, Estimate]) -> None:
        """Write estimates by the SHA-256 of their photographs, as a part beside those that are there."""
        rows = [{"sha256": digest, **estimate_row(estimate)} for digest, estimate in estimates.items()]
        self._keep(make_table(rows, (*_SHA256, *ESTIMATE)))

    def _keep(self, table: pa.Table) -> None:
        if not len(table):
            return
        (self.root / _PARTS).mkdir(exist_ok=True)
        number = int(last[-1].stem) + 1 if (last := self._parts()) else 0
        write_table(self.root / _PARTS / f"{number:06d}.parquet", table)

    def finish(self, table: pa.Table, scores: Mapping[str, Scores], agreements: Sequence[Agreement]) -> None:
        """Write the tables and drop the parts.

        Args:
            table: of `survey.take_survey`. scores: of all files, by SHA-256, for their landmarks.
        """
        found = [scores.get(digest, Scores()) for digest in table["sha256"].to_pylist()]
        extra = make_table((scores_row(None, each) for each in found), LANDMARKS)
        for column in LANDMARKS:
            table = table.append_column(column.name, extra[column.name])
        write_table(self.root / FILE, table)
        write_csv(self.root / TABLE, table)
        rates = passing_rates(table)
        _write_rows(self.root / RATES, [rate.row() for rate in rates])
        self._write_agreement(agreements)
        shutil.rmtree(self.root / _PARTS, ignore_errors=True)

    def _write_agreement(self, agreements: Sequence[Agreement]) -> None:
        _write_rows(self.root / AGREEMENT, [each.row() for each in agreements])
        if not agreements:
            (self.root / DISAGREEMENTS).unlink(missing_ok=True)
            return
        cases = [asdict(case) for each in agreements for case in each.cases]
        kinds = [(name, pa.float64() if name == "probability" else pa.string()) for name in CASE_COLUMNS]
        write_csv(self.root / DISAGREEMENTS, pa.Table.from_pylist(cases, schema=pa.schema(kinds)))


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV; without any, there is no file."""
    if rows:
        write_csv(path, pa.Table.from_pylist(list(rows)))
    else:
        path.unlink(missing_ok=True)


@contextmanager
def open_store(root: Path) -> Iterator[Store]:
    """The store of a folder, made if need be and held alone for the time of a block.

    Raises:
        ValueError: another process writes it, or the folder holds other things.
    """
    if strangers := _strangers(root):
        raise ValueError(f"{root} holds {strangers[0]!r}, which `equime curate` did not write; name a new folder")
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / _LOCK, timeout=0):
            yield Store(root)
    except Timeout:
        raise ValueError(f"{root}: another `equime curate` is writing it") from None


def _strangers(root: Path) -> list[str]:
    """What no curation wrote in a folder: the first run begins with parts, and writes its table before the rest."""
    there = {path.name for path in root.iterdir()} if root.exists() else set()
    ours = {_LOCK, _PARTS, FILE}
    if FILE in there:
        ours |= {TABLE, SHEET, RATES, AGREEMENT, DISAGREEMENTS}
    ours |= {f".{name}{TEMPORARY_SUFFIX}" for name in ours}
    parts = [path.name for path in (root / _PARTS).glob("*") if not _PART.fullmatch(path.name)]
    return sorted([*(there - ours), *(f"{_PARTS}/{name}" for name in parts)])
