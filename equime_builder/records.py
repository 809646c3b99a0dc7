"""Records of long runs: what is found out stands on disk at once, so that a killed run goes on.

A record is a file of JSON lines: first what every finding depends on, then a line for each clip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from equime_builder.manifest import FolderError
from equime_loader.files import write_atomic

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Record(Generic[Found]):
    """A record's file, and how its lines are written and read.

    Attributes:
        settings: what a finding depends on, beside the clip, as plain JSON values; a record of others is begun anew.
        kind, how: what it holds and what its first line says, in the words of messages. mark: a key that every such
            first line has.
        write: a finding as plain JSON values. read: a finding back from its line, None for one that is tried again; it
            may raise ValueError, KeyError, TypeError.
    """

    path: Path
    settings: Mapping[str, Any]
    kind: str
    how: str
    mark: str
    write: Callable[[Found], dict[str, Any]]
    read: Callable[[dict[str, Any]], Found | None]

    def begun_with(self) -> dict[str, Any]:
        """The settings of what is there; empty where nothing is.

        Raises:
            FolderError: the file is no such record; nothing of it is overwritten.
        """
        try:
            head = json.loads(self._lines()[0]) if self._lines() else {}
            if not isinstance(head, dict) or (head and self.mark not in head):
                raise ValueError(f"its first line does not say {self.how}")
        except ValueError as error:
            raise FolderError(f"{self.path}: is no record of {self.kind} ({error}); name another with --out") from error
        return head

    def findings(self) -> dict[str, tuple[str, Found]]:
        """Identity and finding by name of the clips that it has, half-written lines left out.

        Empty where there is no record, or one of other settings.

        Raises:
            FolderError: as `begun_with`.
        """
        if self.begun_with() != self.settings:
            return {}
        found: dict[str, tuple[str, Found]] = {}
        for line in self._lines()[1:]:
            try:
                row = json.loads(line)
                name, identity, finding = row["name"], row["identity"], self.read(row)
            except (ValueError, KeyError, TypeError):
                continue  # cut off where a run was killed
            if finding is not None:
                found[name] = identity, finding
        return found

    def resume(self, asked: Mapping[str, str]) -> dict[str, Found]:
        """Findings that hold for the clips asked for (identity by name); the file then has these and no others.

        Raises:
            FolderError: as `begun_with`.
        """
        known = {name: found for name, (identity, found) in self.findings().items() if asked.get(name) == identity}
        head = json.dumps(self.settings) + "\n"
        write_atomic(self.path, "".join([head, *(self._line(n, asked[n], known[n]) for n in known)]).encode())
        return known

    @contextmanager
    def appending(self) -> Iterator[Callable[[Mapping[str, Found], Mapping[str, str]], None]]:
        """What appends findings, by name, of clips with these identities; they are on disk when it returns."""
        with open(self.path, "a", encoding="utf-8") as file:

            def keep(found: Mapping[str, Found], asked: Mapping[str, str]) -> None:
                file.writelines(self._line(name, asked[name], each) for name, each in found.items())
                file.flush()

            yield keep

    def _line(self, name: str, identity: str, found: Found) -> str:
        return json.dumps({"identity": identity, "name": name, **self.write(found)}, ensure_ascii=False) + "\n"

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else []
