"""What a plan will cost: processor hours, GPU hours and disk, from a rate that was measured.

The rate is measured on this machine, on clips of the very plan (`measure`), or comes from a shipped table that says how
each row was measured (`shipped`). All costs are proportional to the number of clips.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder import manifest
from equime_builder.executors.work import Work
from equime_builder.generators import make_generator, needs_gpu
from equime_builder.generators.protocol import ClipRequest, Generator
from equime_builder.plan import Plan, Shard
from equime_builder.portraits import PortraitSource
from equime_builder.profiles import Profile
from equime_loader.tables import counted

RATES = "data/rates.csv"
ANY = "any"
QUANTITIES = CPU, GPU, BYTES = "cpu_seconds", "gpu_seconds", "bytes"


@dataclass(frozen=True, slots=True)
class Spread:
    """A middle value, and the least and most that were seen.

    Raises:
        ValueError: not 0 <= least <= middle <= most < infinity.
    """

    middle: float
    least: float
    most: float

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.middle <= self.most < float("inf"):
            raise ValueError(f"spread {self.least}..{self.middle}..{self.most} must be in order, and not negative")

    @staticmethod
    def of(values: Sequence[float], weights: Sequence[float]) -> Spread:
        """The weighted mean of values, and their ends."""
        middle = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
        return Spread(min(max(middle, min(values)), max(values)), min(values), max(values))

    def __mul__(self, factor: float) -> Spread:
        return Spread(self.middle * factor, self.least * factor, self.most * factor)

    def __add__(self, other: Spread) -> Spread:
        return Spread(self.middle + other.middle, self.least + other.least, self.most + other.most)

    def to_dict(self) -> dict[str, float]:
        """Plain values with four significant digits."""
        return {name: float(f"{getattr(self, name):.4g}") for name in self.__slots__}

    def __str__(self) -> str:
        middle, least, most = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in self.to_dict().values())
        return middle if least == most else f"{middle} ({least} to {most})"


NOTHING = Spread(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one clip costs: seconds of a processor's core, seconds of a GPU, bytes by format (empty: not known)."""

    cpu_s: Spread
    gpu_s: Spread
    bytes: Mapping[str, Spread]
    origin: str
    clips: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will cost; `minutes` by the clock, with `workers` cores, or GPUs where the generator needs one.

    `gigabytes` are those of as many clips as planned, None where nothing is known of them.
    """

    cpu_hours: Spread
    gpu_hours: Spread
    gigabytes: Spread | None
    minutes: Spread
    workers: int
    origin: str


def estimate(plan: Plan, cost: Cost, *, workers: int = 1) -> Estimate:
    """The cost of all planned clips, the reserve left out.

    A worker with a GPU draws and then encodes, so its time is the sum of both.

    Raises:
        ValueError: workers below 1.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    clips = float(plan.header["clips"])
    disk = sum((cost.bytes[name] for name in plan.header["formats"]), NOTHING) * (clips / 1e9) if cost.bytes else None
    cpu, gpu = cost.cpu_s * (clips / 3600), cost.gpu_s * (clips / 3600)
    return Estimate(cpu, gpu, disk, (cpu + gpu) * (60 / workers), workers, cost.origin)


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of the shipped table: what a million pixels of video cost.

    Attributes:
        part: a generator, or `audit`. profile: of which clips, or `any`.
        quantity: `cpu_seconds`, `gpu_seconds` of one denoising step, or `bytes` in each format.
        origin: the machine and the command that gave it.

    Raises:
        ValueError: another quantity, or no origin.
    """

    part: str
    profile: str
    quantity: str
    value: Spread
    origin: str

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity={self.quantity} must be one of {', '.join(QUANTITIES)}")
        if not self.origin:
            raise ValueError(f"rate of {self.part}, {self.quantity}: origin must say how it was measured")


def read_rates() -> list[Rate]:
    """The shipped table."""
    with (files("equime_builder") / RATES).open(encoding="utf-8") as file:
        return [
            Rate(
                row["part"],
                row["profile"],
                row["quantity"],
                Spread(float(row["middle"]), float(row["least"]), float(row["most"])),
                row["origin"],
            )
            for row in csv.DictReader(file)
        ]


def shipped(plan: Plan, rates: Sequence[Rate]) -> Cost | None:
    """What a clip of a plan costs by the shipped table; None where it lacks a row for a part of the work."""
    header, profile = plan.header, plan.profile
    generator, steps = header["generator"], float(header["generator_options"].get("steps", 1))
    wanted = [(generator, CPU), (generator, BYTES), *([(generator, GPU)] if needs_gpu(generator) else [])]
    wanted += [("audit", CPU)] if header["audit"] else []
    found = [_rate(rates, part, profile, quantity) for part, quantity in wanted]
    rows = [rate for rate in found if rate is not None]
    if len(rows) < len(wanted):
        return None

    def total(quantity: str) -> Spread:
        values = (rate.value * _megapixels(profile) for rate in rows if rate.quantity == quantity)
        return sum(values, NOTHING)

    origin = "; ".join(dict.fromkeys(f"{rate.part}, {rate.profile} clips: {rate.origin}" for rate in rows))
    return Cost(total(CPU), total(GPU) * steps, dict.fromkeys(header["formats"], total(BYTES)), origin)


def _rate(rates: Sequence[Rate], part: str, profile: Profile, quantity: str) -> Rate | None:
    """The row of the plan's own profile, else the one of any profile."""
    rows = {rate.profile: rate for rate in rates if (rate.part, rate.quantity) == (part, quantity)}
    return rows.get(profile.name, rows.get(ANY))


def _megapixels(profile: Profile) -> float:
    return profile.frames * profile.size**2 / 1e6


class Stopwatch:
    """A generator, and the seconds that it has drawn: by the clock, and of this process's processor."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.wall_s = self.cpu_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def render(self, requests: Sequence[ClipRequest]) -> list[NDArray[np.uint8]]:
        """The generator's clips. They are in main memory when it returns, so a GPU has done its work."""
        wall, cpu = time.perf_counter(), time.process_time()
        drawn = self._generator.render(requests)
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu
        return drawn


def measure(plan: Plan, source: PortraitSource, clips: int, *, face_model: Path | None = None) -> Cost:
    """Make some clips of a plan in this process, into a temporary folder, and give their cost.

    The clips are those of subjects that lie evenly over the plan, in parts of a subject or a batch, whichever has more
    clips. The spread is that of the parts. What a process does but once (to load a model, to compile it) is done on
    the first part, which is then made again and counted. What a clip that is not accepted costs in time is part of the
    cost; bytes are those of an accepted one. What is drawn without a GPU is time of the processor.

    Raises:
        ValueError: clips below 1, or more than the plan has.
    """
    total = int(plan.header["clips"])
    if not 1 <= clips <= total:
        raise ValueError(f"--measure {clips} must lie within 1..{total}, the clips of the plan")
    with tempfile.TemporaryDirectory(prefix="equime-measure-") as folder:
        work = Work(Path(folder), source, face_model)
        watch: Any = Stopwatch(make_generator(plan.header["generator"], plan.header["generator_options"]))
        parts = sampled(plan, clips, watch.batch)
        sample = _plan_of(plan, parts)
        manifest.write_plan(work.root, sample)
        shards = manifest.shards_in(sample.header, None)
        slowed = needs_gpu(plan.header["generator"]) and not watch.on_gpu
        work.build(shards[0], watch)
        seen = [_measure_part(work, shard, watch, sample.header) for shard in shards]
    planned, accepted = [shard.clips for shard in shards], [int(row["accepted"]) for row in seen]
    time_cpu, time_gpu = (_per_clip([row[name] for row in seen], planned) for name in (CPU, GPU))
    formats = sample.header["formats"] if any(accepted) else ()
    sizes = {name: _per_clip([row[name] for row in seen], accepted) for name in formats}
    origin = f"{counted(clips, 'clip')} of this plan in {'one part' if len(shards) == 1 else f'{len(shards)} parts'}, "
    origin += "drawn by the processor of this machine" if slowed else "made on this machine"
    origin += f"; {sum(accepted)} of them accepted" if sum(accepted) < clips else ""
    return Cost(time_cpu, time_gpu, sizes, origin, clips)


def _per_clip(values: Sequence[float], clips: Sequence[int]) -> Spread:
    """Spread of the values of parts by their clips; parts without any are left out."""
    parts = [(value / count, count) for value, count in zip(values, clips, strict=True) if count]
    return Spread.of(*zip(*parts, strict=True))


def _measure_part(work: Work, shard: Shard, watch: Any, header: Mapping[str, Any]) -> dict[str, float]:
    """Costs of one part, and how many of its clips were accepted."""
    watch.wall_s = watch.cpu_s = 0.0
    start = time.process_time()
    work.build(shard, watch)
    cpu, gpu = time.process_time() - start, 0.0
    if watch.on_gpu:  # while a GPU draws, the processor waits for it
        cpu, gpu = max(cpu - watch.cpu_s, 0.0), watch.wall_s
    sizes = {name: (work.root / path).stat().st_size for name, path in shard.files(header["formats"]).items()}
    commit = manifest.read_commit(work.root, shard)
    return {CPU: cpu, GPU: gpu, **sizes, "accepted": commit.samples if commit else 0}


def sampled(plan: Plan, clips: int, batch: int = 1) -> list[list[int]]:
    """Rows of the plan's clips to measure, in parts: so many in all, of subjects that lie evenly over the plan."""
    planned = np.flatnonzero(np.asarray(pc.less(plan.clips["shard"], _reserve_begins(plan))))
    subjects = np.asarray(plan.clips["subject"].take(planned).to_pylist())
    starts = np.flatnonzero(np.r_[True, subjects[1:] != subjects[:-1]])
    per_part = max(len(planned) // len(starts), batch)
    parts = max(1, clips // per_part)
    chosen: list[list[int]] = []
    end = 0
    for number in range(parts):
        first, last = (clips * edge // parts for edge in (number, number + 1))
        # Not before the end of the part before, and so that the clips that are still wanted are still to come.
        begin = min(max(int(starts[len(starts) * number // parts]), end), len(planned) - (clips - first))
        end = begin + last - first
        chosen.append(planned[begin:end].tolist())
    return chosen


def _reserve_begins(plan: Plan) -> int:
    reserve = [shard.number for shard in plan.shards if shard.reserve]
    return min(reserve, default=len(plan.shards))


def _plan_of(plan: Plan, parts: Sequence[Sequence[int]]) -> Plan:
    """A plan of these rows alone, each part a shard of one split."""
    clips = plan.clips.take([row for part in parts for row in part])
    shards = [number for number, part in enumerate(parts) for _ in part]
    clips = clips.set_column(clips.schema.get_field_index("shard"), "shard", [np.asarray(shards, np.int32)])
    sizes = {"shards": {"train": [len(part) for part in parts]}, "reserve": {}, "clips": len(shards)}
    return replace(plan, header={**plan.header, **sizes}, clips=clips)
