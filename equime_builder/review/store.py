"""Where judgments are kept: one SQLite file beside the dataset, to which rows are only added.

A judgment is on disk before it is acknowledged (write-ahead log, full synchronization), so that ending the server
at any moment loses nothing that a page was told is saved. A correction is another row; the last one of a reviewer and
clip counts. The file holds names: it lies beside the dataset folder, not in it, and is not published with it.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from equime_builder.manifest import FolderError
from equime_builder.review.judgments import Judgment
from equime_builder.review.sample import Settings

FILE = "judgments.sqlite3"
VERSION = 1
TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE clips (key TEXT PRIMARY KEY, sha256 TEXT);
CREATE TABLE reviewers (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE judgments (
    number INTEGER PRIMARY KEY,
    request TEXT NOT NULL UNIQUE,
    reviewer INTEGER NOT NULL REFERENCES reviewers (number),
    clip TEXT NOT NULL REFERENCES clips (key),
    verdict TEXT NOT NULL,
    label TEXT,
    aus TEXT NOT NULL,
    confidence INTEGER NOT NULL,
    notes TEXT NOT NULL,
    seconds REAL NOT NULL
);
CREATE TRIGGER judgments_stay BEFORE UPDATE ON judgments BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
CREATE TRIGGER judgments_remain BEFORE DELETE ON judgments BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
"""
SELECT = """
SELECT j.number, j.reviewer, j.seconds,
       j.number = (SELECT max(number) FROM judgments WHERE reviewer = j.reviewer AND clip = j.clip) AS counts,
       j.request, r.name, j.clip, j.verdict, j.label, j.aus, j.confidence, j.notes
FROM judgments AS j JOIN reviewers AS r ON r.number = j.reviewer
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A judgment as it is kept.

    Attributes:
        number: place in the log, from 1. reviewer: number of the reviewer, from 1, in the order of arrival.
        seconds: when, since 1970. counts: whether it is the reviewer's last word on the clip.
    """

    number: int
    reviewer: int
    seconds: float
    counts: bool
    judgment: Judgment


def default_folder(root: Path) -> Path:
    """Where the review of a dataset is kept unless asked otherwise: `NAME.review` beside it."""
    root = root.resolve()
    return root.with_name(f"{root.name}.review")


class Store:
    """The judgments of one review. Several processes may use a store at once.

    Attributes:
        settings: what the review was begun with.
        clips: SHA-256 of the video (None where the index has none) by key, of the clips under review.
        token: secret of the links to the page. secret: key of the clips' opaque names.
    """

    def __init__(self, folder: Path) -> None:
        """Open a review that was begun.

        Raises:
            FolderError: there is none, or its file is damaged or of another version.
        """
        self.path = folder / FILE
        if not self.path.is_file():
            raise FolderError(f"{folder}: holds no review; begin one with `equime review`")
        self._connection = _connect(self.path)
        try:
            with _readable(self.path):
                self._load()
        except BaseException:
            self._connection.close()
            raise

    def _load(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise FolderError(f"{self.path}: version {version}, this version of the program reads {VERSION}")
        (state,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise FolderError(f"{self.path}: is damaged ({state})")
        facts = dict(self._connection.execute("SELECT name, value FROM facts"))
        values = json.loads(facts["settings"])
        self.settings = Settings(**{**values, "by": tuple(values["by"])})
        self.token, self.secret = str(facts["token"]), bytes.fromhex(facts["secret"])
        self.clips: dict[str, str | None] = dict(self._connection.execute("SELECT key, sha256 FROM clips ORDER BY key"))

    @classmethod
    def begin(cls, folder: Path, settings: Settings, clips: Mapping[str, str | None]) -> Store:
        """Begin a review of some clips, given as SHA-256 by key.

        Raises:
            FolderError: the folder holds a review.
        """
        if (folder / FILE).exists():
            raise FolderError(f"{folder}: holds a review; it can only be continued")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made under another name: a file of the final name always holds a whole review.
        draft = folder / f".{FILE}.{secrets.token_hex(4)}"
        facts = {
            "settings": json.dumps(asdict(settings)),
            "token": secrets.token_urlsafe(24),
            "secret": secrets.token_hex(32),
        }
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION};")
            connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            connection.executemany("INSERT INTO clips VALUES (?, ?)", clips.items())
            connection.execute("COMMIT")
            connection.close()
            draft.chmod(0o600)
            draft.rename(folder / FILE)
        finally:
            connection.close()
            draft.unlink(missing_ok=True)
        return cls(folder)

    def close(self) -> None:
        self._connection.close()

    def add(self, judgment: Judgment) -> int:
        """Keep a judgment; returns its number once it is on disk. A request that is kept already is not kept again.

        Raises:
            ValueError: the request is kept with another content. OSError: the disk does not take it.
        """
        try:
            return self._add(judgment)
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: cannot be written ({error})") from error

    def _add(self, judgment: Judgment) -> int:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("INSERT OR IGNORE INTO reviewers (name) VALUES (?)", (judgment.reviewer,))
            found = self._select("WHERE j.request = ?", judgment.request)
            if not found:
                row = {**asdict(judgment), "aus": ",".join(map(str, judgment.aus)), "seconds": time.time()}
                connection.execute(
                    "INSERT INTO judgments"
                    " (request, reviewer, clip, verdict, label, aus, confidence, notes, seconds) SELECT :request,"
                    " number, :clip, :verdict, :label, :aus, :confidence, :notes, :seconds"
                    " FROM reviewers WHERE name = :reviewer",
                    row,
                )
                found = self._select("WHERE j.request = ?", judgment.request)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if found[0].judgment != judgment:
            raise ValueError("this request was kept with another content; reload the page")
        return found[0].number

    def kept(self, *, reviewer: str | None = None) -> list[Kept]:
        """All judgments, or those of one reviewer, in the order in which they came."""
        with _readable(self.path):
            if reviewer is None:
                return self._select("")
            return self._select("WHERE r.name = ?", reviewer)

    def _select(self, where: str, *values: str) -> list[Kept]:
        rows = self._connection.execute(f"{SELECT} {where} ORDER BY j.number", values)
        return [_kept(*row) for row in rows]


def _kept(number: int, reviewer: int, seconds: float, counts: int, *row: str | int) -> Kept:
    request, name, clip, verdict, label, aus, confidence, notes = row
    numbers = tuple(int(au) for au in str(aus).split(",") if au)
    judgment = Judgment(request, name, clip, verdict, label, numbers, confidence, notes)  # type: ignore[arg-type]
    return Kept(number, reviewer, seconds, bool(counts), judgment)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        with _readable(path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FolderError):
            raise
        raise FolderError(f"{path}: is no review that can be read ({error})") from error
