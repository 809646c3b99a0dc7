"""Where the pictures and signals of MMME's trials lie, found by participant and date without ever showing either."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.annotations import RowFault
from equime_loader.corpora.events import FrameFiles, VideoFile
from equime_loader.corpora.frames import VIDEOS, Tree
from equime_loader.corpora.pseudonyms import plain_name

CAMERA_FPS = 150.0
CURRY, BIOPAC = ".cdt", ".mat"
_TIME = r"(?P<hour>[0-9]{1,2})-(?P<minute>[0-9]{1,2})-(?P<second>[0-9]{1,2})-(?P<ms>[0-9]{1,3})(?:-(?P<us>[0-9]{1,4}))?"
_STAMP = re.compile(_TIME)
_FRAME = re.compile(
    rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{1,2}})-(?P<day>[0-9]{{1,2}})-{_TIME}-(?P<marker>[0-9]{{1,3}})"
    r"\.(tiff?|png|jpe?g|bmp)",
    re.IGNORECASE,
)


def stamp_us(text: str) -> int | None:
    """Microseconds after midnight of ``11-05-19-038-498`` or ``11-05-19-038``, None of another text; 1000 µs carry."""
    match = _STAMP.fullmatch(text)
    return _microseconds(match) if match else None


def _microseconds(match: re.Match[str]) -> int:
    hour, minute, second, ms, us = (int(match[name] or 0) for name in ("hour", "minute", "second", "ms", "us"))
    return (((hour * 60 + minute) * 60 + second) * 1000 + ms) * 1000 + us


class PrivateFrames(Mapping[int, Path]):
    """Files of a trial's frames by their number from 0. Their paths have names of people: the repr has none."""

    def __init__(self, files: Sequence[tuple[Path, str]]) -> None:
        self._folders = tuple(dict.fromkeys(folder for folder, _ in files))
        place = {folder: number for number, folder in enumerate(self._folders)}
        self._places = np.array([place[folder] for folder, _ in files], np.int32)
        # As an array, since the trials of a corpus have millions of frames.
        self._names = np.array([os.fsencode(name) for _, name in files])

    def __getitem__(self, number: int) -> Path:
        if not 0 <= number < len(self):
            raise KeyError(number)
        folder: Path = self._folders[self._places[number]]
        return folder / os.fsdecode(bytes(self._names[number]))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"PrivateFrames({len(self)} frames)"


class PrivateVideo(VideoFile):
    """A trial's video. Its path has somebody's name: the repr has none."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PrivateVideo()"


@dataclass(frozen=True, slots=True)
class Clock:
    """When a frame was taken, in seconds after the trial began: by the frames' times, or at a constant rate."""

    us: NDArray[np.int64] | None
    fps: float

    def __call__(self, frame: int) -> float:
        return frame / self.fps if self.us is None else float(self.us[frame] - self.us[0]) / 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What there is of a trial.

    Attributes:
        frames, us: its frames, and when each was taken, (n,) int64 µs after midnight; None where there are none.
        video: the trial as one video. curry, biopac: recordings of the session.
    """

    frames: FrameFiles | None = None
    us: NDArray[np.int64] | None = None
    video: Path | None = field(default=None, repr=False)
    curry: tuple[Path, ...] = field(default=(), repr=False)
    biopac: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def fps(self) -> float:
        """Frames per second that were reached, as a whole number; the camera's without times."""
        if self.us is None or len(self.us) < 2 or self.us[-1] == self.us[0]:
            return CAMERA_FPS
        reached = (len(self.us) - 1) / (float(self.us[-1] - self.us[0]) / 1e6)
        return float(min(max(round(reached), 1), 1000))


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """Files of a session: frames by marker, each with its time, and recordings."""

    frames: Mapping[int, list[tuple[int, Path, str]]]
    curry: tuple[Path, ...]
    biopac: tuple[Path, ...]


class Sessions:
    """Trials of a copy. A session's folder is listed once if its trials are asked for one after the other."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._folders: dict[str, list[Path]] = {}
        for path in tree.named(".*"):
            if path.is_dir():
                self._folders.setdefault(plain_name(path.name), []).append(path)
        self._last: tuple[tuple[str, str], _Session] | None = None
        self._trials: dict[tuple[str, str, int], Trial] = {}

    def trial(self, person: str, date: str, marker: int, file: str) -> Trial:
        """What there is of a trial.

        Args:
            date: ``20230718``. file: its video's name, which a folder of its frames may have, too.
        """
        key = plain_name(person), date, marker
        if key not in self._trials:
            self._trials[key] = self._found(key, os.path.splitext(file)[0])
        return self._trials[key]

    def _found(self, key: tuple[str, str, int], stem: str) -> Trial:
        person, date, marker = key
        if self._last is None or self._last[0] != (person, date):
            # Folders without the date hold the frames of several sessions, which have it in their names.
            folders = self._folders.get(person + date) or self._folders.get(date + person) or self._folders.get(person)
            self._last = (person, date), _listed(folders or (), date)
        session = self._last[1]
        own = self._tree.ending(stem)
        found = session.frames.get(marker) or _listed(own, date).frames.get(marker)
        video = next((path for path in own if path.suffix.lower() in VIDEOS and path.is_file()), None)
        if not found:
            return Trial(None, None, video, session.curry, session.biopac)
        found.sort()
        us = np.array([moment for moment, _, _ in found], np.int64)
        frames = FrameFiles(PrivateFrames([(folder, name) for _, folder, name in found]))
        return Trial(frames, us, video, session.curry, session.biopac)


def _listed(tops: Iterable[Path], date: str) -> _Session:
    """Frames of a day and recordings below some folders.

    Where they hold frames of several days, recordings are of a day if their path says so.
    """
    frames: dict[int, list[tuple[int, Path, str]]] = {}
    recordings: list[Path] = []
    days = {date}
    for place, name in dict.fromkeys(file for top in tops for file in _files(top)):
        if match := _FRAME.fullmatch(name):
            day = f"{match['year']}{int(match['month']):02d}{int(match['day']):02d}"
            days.add(day)
            if day == date:
                frames.setdefault(int(match["marker"]), []).append((_microseconds(match), place, name))
        elif os.path.splitext(name)[1].lower() in (CURRY, BIOPAC) and not name.startswith("."):
            recordings.append(place / name)
    own = sorted(path for path in recordings if len(days) == 1 or date in plain_name(str(path)))
    curry, biopac = (tuple(path for path in own if path.suffix.lower() == ending) for ending in (CURRY, BIOPAC))
    return _Session(frames, curry, biopac)


def _files(top: Path) -> Iterator[tuple[Path, str]]:
    for folder, _, names in os.walk(top):
        place = Path(folder)
        for name in names:
            yield place, name


def video_rate(path: Path) -> float:
    """Frames per second of a video, as its header says.

    Raises:
        RowFault: it cannot be read.
    """
    import av

    try:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate
    except (av.FFmpegError, OSError, IndexError) as error:
        raise RowFault(f"the trial's video cannot be read ({type(error).__name__})") from None
    if not rate or not 0 < rate <= 1000:
        raise RowFault("the trial's video does not say its frame rate")
    return float(rate)
