"""Physiological signals beside imported clips: their file form, and how they come into a batch.

A clip's signals lie in `signals/KEY.safetensors` of the dataset folder, each as (samples, channels) float32, with
channels, rate, time of the first sample and unit in the file's metadata.

    signals = Signals.open("mmme")
    loader = Loader(clips, view, transform=lambda batch: signals.attach(batch, Window.around_ms("onset", 2000)))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.events import Signal
from equime_loader.windows import Event, Window

if TYPE_CHECKING:
    from equime_loader.index import Index

FOLDER, EVENTS = "signals", "events.parquet"
MAX_FILE = 2**30
_METADATA = "signals"  # one entry, since the library writes several in an order of its own
_TIMES = ("onset_frame", "apex_frame", "offset_frame", "frames", "fps")


def signal_bytes(signals: Iterable[Signal]) -> bytes:
    """The file of a clip's signals: the same signals, the same bytes.

    Raises:
        ValueError: none, or two of one name.
    """
    from safetensors.numpy import save

    given = sorted(signals, key=lambda signal: signal.name)
    if not given or len({signal.name for signal in given}) < len(given):
        raise ValueError(f"signals={[signal.name for signal in given]} must be at least one, each of its own name")
    about = {
        signal.name: {
            "channels": list(signal.channels),
            "rate_hz": signal.rate_hz,
            "start_ms": signal.start_ms,
            "unit": signal.unit,
        }
        for signal in given
    }
    arrays = {signal.name: np.ascontiguousarray(signal.values) for signal in given}
    return bytes(save(arrays, {_METADATA: json.dumps(about, ensure_ascii=False, sort_keys=True)}))


def read_signals(path: Path) -> dict[str, Signal]:
    """The signals of a file, by name.

    Raises:
        ValueError: it holds none, or is damaged.
    """
    with _opened(path) as (file, about):
        return {name: _signal(name, file.get_tensor(name), about[name]) for name in sorted(about)}


def read_channels(path: Path) -> dict[str, tuple[str, ...]]:
    """The channels of a file's signals, by name; their values are not read.

    Raises:
        as `read_signals`.
    """
    with _opened(path) as (_, about):
        return {name: tuple(map(str, about[name]["channels"])) for name in sorted(about)}


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """A file of signals, and what its metadata says of each."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"{path.stat().st_size} bytes, at most {MAX_FILE} are read")
        with safe_open(path, "np") as file:
            yield file, json.loads((file.metadata() or {})[_METADATA])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: holds no signals that can be read ({error})") from error


def _signal(name: str, values: NDArray[Any], about: Mapping[str, Any]) -> Signal:
    channels = tuple(map(str, about["channels"]))
    return Signal(name, values, channels, float(about["rate_hz"]), float(about["start_ms"]), str(about["unit"]))


def span_ms(window: Window, event: Event) -> tuple[float, float]:
    """Beginning and end of a window in milliseconds after the clip's first frame, frames lasting 1 / fps.

    A window around a moment may reach beyond the clip: signals do.
    """
    frame = 1000 / event.fps
    if window.kind == "whole":
        return 0.0, event.frames * frame
    if window.kind == "spread":
        return event.onset * frame, (event.offset + 1) * frame
    moment = {"onset": event.onset, "apex": event.apex, "offset": event.offset}[window.moment]
    per_unit = 1.0 if window.unit == "frames" else event.fps / 1000
    first = moment - round(window.before * per_unit)
    return first * frame, (first + max(1, round(window.length * per_unit))) * frame


def cut(signal: Signal, start_ms: float, stop_ms: float, samples: int | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A signal between two times, (samples, channels) float32, and where it was recorded, (samples,) bool.

    Args:
        samples: how many, at the middles of equal parts, linear between what was recorded; None for as many as were
            recorded. What was not recorded, or is not finite in any channel, is 0 and False.
    """
    recorded: NDArray[np.bool_] = np.asarray(np.isfinite(signal.values).all(axis=1))
    values = np.where(recorded[:, None], signal.values, np.float32(0))
    per_ms = signal.rate_hz / 1000
    if samples is None:
        first = round((start_ms - signal.start_ms) * per_ms)
        places = first + np.arange(max(1, round((stop_ms - start_ms) * per_ms)), dtype=np.float64)
    else:
        middles = start_ms + (np.arange(samples) + 0.5) * (stop_ms - start_ms) / samples
        places = (middles - signal.start_ms) * per_ms
    low = np.floor(places).astype(np.int64)
    share = (places - low).astype(np.float32)[:, None]
    high = low + (share[:, 0] > 0)
    inside: NDArray[np.bool_] = np.asarray((low >= 0) & (high < len(values)))
    if not len(values):
        return np.zeros((len(places), values.shape[1]), np.float32), inside
    low, high = np.clip(low, 0, len(values) - 1), np.clip(high, 0, len(values) - 1)
    inside &= recorded[low] & recorded[high]
    between = values[low] * (1 - share) + values[high] * share
    return np.where(inside[:, None], between, np.float32(0)), inside


@dataclass(frozen=True, slots=True, eq=False)
class _Folder:
    """Signals of one dataset folder.

    Attributes:
        rows: of its clips, by key. planned: names of the signals that were recorded beside a clip, by its key.
        times: when their events are.
    """

    index: Index
    rows: Mapping[str, int]
    planned: Mapping[str, tuple[str, ...]]
    times: Mapping[str, NDArray[np.float64]]

    def event(self, key: str) -> Event:
        onset, apex, offset, frames, fps = (float(self.times[name][self.rows[key]]) for name in _TIMES)
        return Event(int(onset), int(apex), int(offset), int(frames), fps)

    def signals(self, key: str) -> dict[str, Signal]:
        path = self._file(key)
        return {} if path is None else read_signals(path)

    def channels(self, missing: set[str]) -> dict[str, tuple[str, ...]]:
        """The channels of some signals, as the first clip that has them says."""
        found: dict[str, tuple[str, ...]] = {}
        for key, names in self.planned.items():
            if missing & set(names) - found.keys() and (path := self._file(key)) is not None:
                found = {**read_channels(path), **found}
        return {name: channels for name, channels in found.items() if name in missing}

    def _file(self, key: str) -> Path | None:
        from equime_loader.storage import MissingError

        try:
            return self.index.store.file(f"{FOLDER}/{key}.safetensors") if key in self.planned else None
        except MissingError:
            return None


class Signals:
    """Signals of the clips of an imported folder, or of several that were joined.

    Attributes:
        channels: of each signal, by its name, as the first clip that has it says.
    """

    def __init__(self, folders: Mapping[str, _Folder]) -> None:
        self._folders = folders
        self.channels: dict[str, tuple[str, ...]] = {}
        for folder in folders.values():
            names = {name for planned in folder.planned.values() for name in planned}
            self.channels |= folder.channels(names - self.channels.keys())
        if not self.channels:
            raise ValueError(f"no signals in {', '.join(folder.index.root for folder in folders.values())}")

    @classmethod
    def open(cls, root: str | Path | Mapping[str, str | Path]) -> Signals:
        """Open the signals of a folder; or of several by name, for clips joined under these names.

        Raises:
            ValueError: none of them has signals. IndexFault: a folder is no dataset.
        """
        from equime_loader.index import Index

        roots = {f"{name}-": place for name, place in root.items()} if isinstance(root, Mapping) else {"": root}
        return cls({prefix: _folder(Index.open(place)) for prefix, place in roots.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the signals, sorted."""
        return tuple(sorted(self.channels))

    def read(self, key: str) -> dict[str, Signal]:
        """All signals of a clip, by name; none where it has none.

        Raises:
            KeyError: no such clip. ValueError: its file is damaged.
        """
        folder, own = self._find(key)
        return folder.signals(own)

    def attach(
        self, batch: dict[str, Any], window: Window, *, names: Sequence[str] | None = None, samples: int | None = None
    ) -> dict[str, Any]:
        """Add signals to a batch of a `Loader`: under each name (B, channels, T) float32, and under `NAME_mask` (B, T)
        bool, False where nothing was recorded. A sample of a `ClipDataset` gets the same without B.

        The window is that of the signals. It may be that of the frames, or longer, as the body answers later than
        the face.

        Args:
            names: which signals, None for all. samples: T, at equal distances over the window; None for those that
                were recorded, shorter ones of a batch padded at their end.

        Raises:
            ValueError: an unknown name, `samples` below 1, a damaged file. KeyError: a clip of another dataset.
        """
        import torch

        if samples is not None and samples < 1:
            raise ValueError(f"{samples=} must be at least 1")
        for name in names or ():
            if name not in self.channels:
                raise ValueError(f"no signal {name!r}; there are {', '.join(self.names)}")
        single = isinstance(batch["key"], str)
        keys = [batch["key"]] if single else batch["key"]
        given = [self._cut(key, window, names or self.names, samples) for key in keys]
        attached = dict(batch)
        for name in names or self.names:
            values, mask = _padded([clip.get(name) for clip in given], len(self.channels[name]), samples)
            values, mask = (values[0], mask[0]) if single else (values, mask)
            attached[name], attached[f"{name}_mask"] = torch.from_numpy(values), torch.from_numpy(mask)
        return attached

    def _find(self, key: str) -> tuple[_Folder, str]:
        for prefix, folder in self._folders.items():
            if key.startswith(prefix) and key[len(prefix) :] in folder.rows:
                return folder, key[len(prefix) :]
        raise KeyError(f"no clip {key!r} in the folders of these signals")

    def _cut(self, key: str, window: Window, names: Sequence[str], samples: int | None) -> dict[str, Any]:
        folder, own = self._find(key)
        start, stop = span_ms(window, folder.event(own))
        found = folder.signals(own)
        # Channels that differ from those of the other clips cannot share an array with them.
        same = [name for name in names if name in found and found[name].channels == self.channels[name]]
        return {name: cut(found[name], start, stop, samples) for name in same}


def _folder(index: Index) -> _Folder:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from equime_loader.storage import MissingError

    keys = index.column("key").to_pylist()
    try:
        events = pq.read_table(index.store.file(EVENTS), columns=["key", "signals"]).to_pylist()
    except MissingError:
        events = []  # a dataset that was built
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{index.root}/{EVENTS}: cannot be read ({error})") from error
    planned = {row["key"]: tuple(row["signals"]) for row in events if row["key"] and row["signals"]}
    times = {name: index.numbers(name) for name in _TIMES}
    return _Folder(index, {key: row for row, key in enumerate(keys)}, planned, times)


def _padded(parts: Sequence[Any], channels: int, samples: int | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    length = samples or max((len(part[1]) for part in parts if part is not None), default=1)
    values = np.zeros((len(parts), channels, length), np.float32)
    mask = np.zeros((len(parts), length), np.bool_)
    for row, part in enumerate(parts):
        if part is not None:
            values[row, :, : len(part[1])] = part[0].T
            mask[row, : len(part[1])] = part[1]
    return values, mask
