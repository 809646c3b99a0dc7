#!/usr/bin/env python3
"""Is our window order as well shuffled as MosaicML Streaming's py1e at the same window, with no more shards open?

py1e is taken from an installed `mosaicml-streaming`: of this environment, or of the one whose interpreter is given.
Without it our figures are printed alone. Measures of an epoch's order, as means over the seeds, ours / py1e's:

entropy       that of the peer's own simulator: the entropy in bits of the absolute differences of neighboring samples,
              and of neighboring shards, and the harmonic mean of the two.
same shard    share of neighbors that lie in one shard, in percent; "whole" is what a permutation of everything has.
in order      share of pairs of samples that stand in their original order, in percent; 50 is ideal.
open, peak    shards begun and not yet finished: the most at any time. open, mean: over the epoch.
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import door
import numpy as np
import typer
from door import Rounds
from numpy.typing import NDArray

from equime_loader.order import Balanced, Order, Weighted, epoch_order

Integers = NDArray[np.int64]

PEER = """
import io, json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
try:
    from streaming.base.shuffle.py1e import get_shuffle_py1e
except ImportError as error:
    sys.exit(f"no mosaicml-streaming: {error}")
for case in json.load(sys.stdin):
    order = get_shuffle_py1e(np.array(case["sizes"]), 1, case["seed"], 0, case["window"])
    np.save(sys.stdout.buffer, order.astype(np.int64))
"""


class Setting(NamedTuple):
    """An epoch's samples; their shards, of equal size or a random tenth of such; the window in shards."""

    samples: int
    shards: int
    sizes: str
    window: float

    def shard_sizes(self) -> Integers:
        if self.sizes == "equal":
            return np.diff(np.arange(self.shards + 1) * self.samples // self.shards)
        chosen = np.random.default_rng(0).choice(self.samples * 10, self.samples, replace=False)
        return np.bincount(chosen * self.shards // (self.samples * 10), minlength=self.shards)

    def window_samples(self) -> int:
        return max(1, round(self.window * self.samples / self.shards))


GRID = [
    Setting(samples, shards, sizes, window)
    for samples, shards in ((2_000, 20), (2_000, 200), (20_000, 20), (20_000, 200), (100_000, 100), (100_000, 1000))
    for sizes in ("equal", "tenth")
    for window in (0.5, 0.9, 1, 1.5, 2, 3, 4, 8, 16, 32, 64)
    if window <= shards
]


@dataclass(frozen=True)
class Figures:
    """Measures of one order (see above)."""

    entropy: float
    samples: float
    shards: float
    same: float
    in_order: float
    peak: int
    mean: float


def entropy(sequence: Integers) -> float:
    """Entropy in bits of the absolute differences of neighbors."""
    counts = np.bincount(np.abs(np.diff(sequence)))
    shares = counts[counts > 0] / (len(sequence) - 1)
    return float(-(shares * np.log2(shares)).sum())


def figures(order: Integers, shard_sizes: Integers) -> Figures:
    shard_of = np.repeat(np.arange(len(shard_sizes)), shard_sizes)
    shards = shard_of[order]
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    begun = np.flatnonzero(shard_sizes)
    starts = (np.cumsum(shard_sizes) - shard_sizes)[begun]
    change = np.bincount(np.minimum.reduceat(places, starts), minlength=len(order) + 1)
    change -= np.bincount(np.maximum.reduceat(places, starts) + 1, minlength=len(order) + 1)
    opened = np.cumsum(change[:-1])
    one, other = np.sort(np.random.default_rng(0).integers(len(order), size=(2, 200_000)), axis=0)
    differ = one != other
    both = entropy(order), entropy(shards)
    return Figures(
        entropy=2 * both[0] * both[1] / (both[0] + both[1]) if all(both) else 0.0,
        samples=both[0],
        shards=both[1],
        same=100 * float((np.diff(shards) == 0).mean()),
        in_order=100 * float((places[one] < places[other])[differ].mean()),
        peak=int(opened.max()),
        mean=float(opened.mean()),
    )


def ours(setting: Setting, seed: int) -> Integers:
    sizes = setting.shard_sizes()
    shards = np.repeat(np.arange(len(sizes)), sizes)
    order = Order(rows=np.arange(len(shards)), seed=seed, shards=shards, window=setting.window_samples())
    return epoch_order(order, 0)


def peer_orders(python: str, cases: list[tuple[Setting, int]]) -> list[Integers] | str:
    """py1e's order of every case, or in one line why there is none."""
    asked = [
        {"sizes": setting.shard_sizes().tolist(), "seed": seed, "window": setting.window_samples()}
        for setting, seed in cases
    ]
    try:
        done = subprocess.run([python, "-c", PEER], input=json.dumps(asked).encode(), capture_output=True, check=False)
    except OSError as error:
        return f"{python}: {error.strerror}"
    if done.returncode:
        return done.stderr.decode().strip().splitlines()[-1]
    stream = io.BytesIO(done.stdout)
    return [np.load(stream, allow_pickle=False) for _ in cases]


def mean(results: list[Figures]) -> Figures:
    """Of each measure the mean, of the peak the maximum."""
    means = {
        name: float(np.mean([getattr(one, name) for one in results])) for name in asdict(results[0]) if name != "peak"
    }
    return Figures(peak=max(one.peak for one in results), **means)


def speeds(n: int = 1_000_000) -> None:
    """Median of five: seconds for the order of one epoch, this machine."""
    rows, rng = np.arange(n), np.random.default_rng(0)
    shards, classes = rows // 500, rng.choice(5, n, p=(0.5, 0.2, 0.15, 0.1, 0.05))
    orders = {
        "uniform": Order(rows=rows, seed=0),
        "window of 16 shards": Order(rows=rows, seed=0, shards=shards, window=8000),
        "balanced, 5 classes": Order(rows=rows, seed=0, sampling=Balanced(classes)),
        "balanced, window": Order(rows=rows, seed=0, sampling=Balanced(classes), shards=shards, window=8000),
        "weighted": Order(rows=rows, seed=0, sampling=Weighted(rng.random(n))),
    }
    print(f"\n| order of {n:,} samples | seconds |\n| --- | ---: |")
    for name, order in orders.items():
        taken = []
        for epoch in range(5):
            begun = time.perf_counter()
            epoch_order(order, epoch)
            taken.append(time.perf_counter() - begun)
        print(f"| {name} | {statistics.median(taken):.2f} |")


def main(
    *,
    peer_python: Annotated[str, typer.Option(help="interpreter that has mosaicml-streaming")] = sys.executable,
    seeds: Rounds = 8,
    json_file: Annotated[Path | None, typer.Option("--json", help="keep the figures in this file")] = None,
) -> None:
    cases = [(setting, seed) for setting in GRID for seed in range(seeds)]
    peers = peer_orders(peer_python, cases)
    if isinstance(peers, str):
        print(f"py1e is left out ({peers}); pip install mosaicml-streaming, or name its interpreter by --peer-python\n")
    measured: dict[str, dict[Setting, Figures]] = {"ours": {}, "py1e": {}}
    for number, setting in enumerate(GRID):
        sizes, mine = setting.shard_sizes(), range(number * seeds, (number + 1) * seeds)
        measured["ours"][setting] = mean([figures(ours(setting, cases[case][1]), sizes) for case in mine])
        if not isinstance(peers, str):
            measured["py1e"][setting] = mean([figures(peers[case], sizes) for case in mine])
    report(measured["ours"], measured["py1e"])
    speeds()
    if json_file:
        rows = [
            {**setting._asdict(), "who": who, **asdict(result)}
            for who, results in measured.items()
            for setting, result in results.items()
        ]
        json_file.write_text(json.dumps({"seeds": seeds, "rows": rows}, indent=1) + "\n")


def report(mine: dict[Setting, Figures], peer: dict[Setting, Figures]) -> None:
    """The table as Markdown, ours / py1e, and in how many settings ours is at least as good."""
    print("| samples | shards | sizes | window | entropy | same shard, % | whole | in order, % | open, peak | mean |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for setting, here in mine.items():
        both = [here, *([peer[setting]] if peer else [])]
        sizes = setting.shard_sizes()
        whole = 100 * float((sizes * (sizes - 1)).sum()) / (sizes.sum() * (sizes.sum() - 1))
        print(
            f"| {setting.samples} | {setting.shards} | {setting.sizes} | {setting.window:g} "
            f"| {' / '.join(f'{one.entropy:.3f}' for one in both)} | {' / '.join(f'{one.same:.2f}' for one in both)} "
            f"| {whole:.2f} | {' / '.join(f'{one.in_order:.1f}' for one in both)} "
            f"| {' / '.join(str(one.peak) for one in both)} | {' / '.join(f'{one.mean:.1f}' for one in both)} |"
        )
    if peer:
        print(f"\nAt the same window: {against(mine, peer, 1)}.\nAt half of py1e's window: {against(mine, peer, 2)}.")


def against(mine: dict[Setting, Figures], peer: dict[Setting, Figures], times: float) -> str:
    """In how many settings our order is better than the peer's with `times` the window."""
    wider = {setting: setting._replace(window=setting.window * times) for setting in mine}
    pairs = [(mine[here], peer[there]) for here, there in wider.items() if there in peer]
    gains = [one.entropy - other.entropy for one, other in pairs]
    return (
        f"entropy above py1e's in {sum(gain > 0 for gain in gains)} of {len(pairs)} settings "
        f"({min(gains):+.3f} … {max(gains):+.3f}, median {np.median(gains):+.3f} bits), "
        f"no more shards open at the peak in {sum(one.peak <= other.peak for one, other in pairs)}, "
        f"on average in {sum(one.mean <= other.mean for one, other in pairs)}"
    )


if __name__ == "__main__":
    door.run(main)
