"""Where the frames of a clip lie: folders found by the end of their path, files numbered by the end of their name.

Copies differ in what lies above (``CASME2_RAW/CASME2-RAW/sub01/EP02_01f``), in case and in padding; none of it matters
here. Only what a folder's last names say does, and the last number of a file's name.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from equime_loader.corpora.events import FrameFiles

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv"})
SHEETS = frozenset({".xlsx", ".xls", ".xlsm", ".csv", ".tsv"})
MAX_DEPTH = 12
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>[0-9]{1,18})", re.DOTALL)


def frame_number(name: str) -> int | None:
    """The last number of a file's name, before its ending: 46 of ``reg_img46.jpg``; None where it ends in none."""
    found = _NUMBERED.fullmatch(os.path.splitext(name)[0])
    return int(found["number"]) if found else None


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder's pictures.

    Attributes:
        frames: one file per frame number, None where there is no picture. strays: files that are no frame of the
            recording, by name: shortcuts, thumbnails, a second file of the same number.
    """

    frames: FrameFiles | None
    strays: tuple[str, ...] = ()


def list_frames(folder: Path) -> Listing:
    """The frames of a folder: the largest family of pictures that differ in their number only.

    Raises:
        OSError: no such folder, or one that cannot be read.
    """
    families: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    strays: list[str] = []
    for name in sorted(_files(folder), key=_natural):
        stem, ending = os.path.splitext(name)
        number = frame_number(name) if ending.lower() in PICTURES and not name.startswith(".") else None
        if number is None:
            strays.append(name)
            continue
        prefix = stem.rstrip("0123456789")
        if number in (family := families[prefix.casefold(), ending.lower()]):
            strays.append(name)
        else:
            family[number] = name
    if not families:
        return Listing(None, tuple(strays))
    chosen = max(families, key=lambda family: (len(families[family]), family))
    for other, names in families.items():
        if other != chosen:
            strays += names.values()
    numbers = sorted(families[chosen])
    return Listing(FrameFiles({number: folder / families[chosen][number] for number in numbers}), tuple(sorted(strays)))


def _files(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                yield entry.name


def _natural(name: str) -> tuple[int, str]:
    return len(name), name


class Tree:
    """The folders, videos and sheets below a root, looked up by the last names of their path; case does not matter."""

    def __init__(self, root: Path) -> None:
        """
        Raises:
            FileNotFoundError: no such folder.
        """
        if not root.is_dir():
            raise FileNotFoundError(f"{root}: no such folder")
        self.root = root
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path, name in _walk(root):
            self._by_name[name.casefold()].append(path)

    def named(self, pattern: str) -> list[Path]:
        """What has a name that a regular expression describes whole; of videos the name without its ending."""
        wanted = re.compile(pattern, re.IGNORECASE)
        return [path for name in sorted(self._by_name) if wanted.fullmatch(name) for path in self._by_name[name]]

    def ending(self, *names: str | Iterable[str]) -> list[Path]:
        """What has a path that ends in these names; where one has several spellings, give them together.

        The root's own name counts, so that a user may name the folder of one subject.
        """
        spellings = [{word.casefold() for word in ([name] if isinstance(name, str) else name)} for name in names]
        found = [path for word in sorted(spellings[-1]) for path in self._by_name.get(word, ())]
        return [path for path in found if self._lies_below(path, spellings[:-1])]

    def _lies_below(self, path: Path, spellings: Sequence[set[str]]) -> bool:
        parts = [part.casefold() for part in (self.root.resolve().name, *path.relative_to(self.root).parts[:-1])]
        tail = parts[max(0, len(parts) - len(spellings)) :]
        return len(tail) == len(spellings) and all(map(set.__contains__, spellings, tail))

    def relative(self, path: Path) -> str:
        """A path as findings name it."""
        return path.relative_to(self.root).as_posix()


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Every folder, video and sheet below with its name, in a fixed order. Links are followed, but in no circle."""
    waiting, seen = [(root, 0)], {os.path.realpath(root)}
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir()) for entry in entries)
        except OSError as error:
            # The folder is not named: in one corpus folders have names of people.
            raise OSError(error.errno, f"a folder in {root} cannot be read ({error.strerror})") from None
        for name, is_folder in found:
            path, (stem, ending) = folder / name, os.path.splitext(name)
            if is_folder:
                yield path, name
                if depth < MAX_DEPTH and (real := os.path.realpath(path)) not in seen:
                    seen.add(real)
                    waiting.append((path, depth + 1))
            elif ending.lower() in VIDEOS:
                yield path, stem
            elif ending.lower() in SHEETS:
                yield path, name


def in_order(paths: Iterable[Path], root: Path, order: Sequence[str]) -> list[Path]:
    """Several copies of a clip, those first whose path below the root has what comes first in `order`.

    ``(r"raw(?!_selected)", "selected", "crop")``, regular expressions, puts whole recordings before their parts.
    """

    def rank(path: Path) -> tuple[int, int, str]:
        words = path.relative_to(root).as_posix().casefold()
        place = next((number for number, pattern in enumerate(order) if re.search(pattern, words)), len(order))
        return place, len(path.parts), words

    return sorted(paths, key=rank)
