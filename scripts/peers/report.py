"""What the comparison says: figures of each loader, ratios within rounds, a table and a picture."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers.table import BARE, CACHED, OURS, PEERS

Runs = list[dict[str, Any]]
# A figure of one run of a peer.
Figure = Callable[[dict[str, Any]], float]
FIGURES: dict[str, Figure] = {
    "first epoch": lambda run: float(run["epochs"][0]["steady"]),
    "repeat epoch": lambda run: float(run["epochs"][1]["steady"]),
    "first batch": lambda run: 1000 * float(run["epochs"][0]["first_batch_s"]),
    "processor": lambda run: float(run["epochs"][0]["cpu_ms"]),
}
FORMS = {"default": "encoded at the defaults of libx264", "ours": "EquiME's files"}


def machine() -> dict[str, Any]:
    """Facts of this machine, without its name."""
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", facts)
    return {
        "processor": model[1] if model else platform.processor(),
        "cores_used": len(os.sched_getaffinity(0)),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("av", "numpy", "opencv-contrib-python", "pyarrow")},
    }


def mean_kilobytes(folder: Path) -> float:
    return statistics.mean(path.stat().st_size for path in folder.glob("*.mp4")) / 1000


def by_round(measured: dict[str, Any], peer: str, encoding: str, figure: str) -> list[float]:
    """A figure of a peer in each round; empty where it took no part."""
    runs = [run for run in measured["runs"] if (run["peer"], run["encoding"]) == (peer, encoding)]
    return [FIGURES[figure](run) for run in sorted(runs, key=lambda run: int(run["round"]))]


def best_peer(measured: dict[str, Any], encodings: tuple[str, ...], figure: str) -> tuple[str, str] | None:
    """The peer, and the form of the clips, whose median is best; not ours, and not those that deliver nothing."""
    medians = {
        (name, encoding): statistics.median(values)
        for name, peer in PEERS.items()
        for encoding in encodings
        if not peer.ours and peer.delivers and (values := by_round(measured, name, encoding, figure))
    }
    if not medians:
        return None
    return (min if figure == "first batch" else max)(medians, key=lambda entry: medians[entry])


def ratios(measured: dict[str, Any]) -> dict[str, list[float]]:
    """What is claimed, one ratio per round: the two figures of each are of the same round."""
    both = ("default", "ours")
    claims = (
        (
            "first epoch / best peer on default encoding",
            OURS,
            "first epoch",
            best_peer(measured, both[:1], "first epoch"),
        ),
        (
            "first epoch / best peer on EquiME's files",
            OURS,
            "first epoch",
            best_peer(measured, both[1:], "first epoch"),
        ),
        ("first epoch / bare libavcodec on the same files", OURS, "first epoch", (BARE, "ours")),
        (
            "repeat epoch with window cache / best peer",
            CACHED,
            "repeat epoch",
            best_peer(measured, both, "repeat epoch"),
        ),
        ("time to first batch / best peer's", OURS, "first batch", best_peer(measured, both, "first batch")),
    )
    found: dict[str, list[float]] = {}
    for name, ours, figure, other in claims:
        mine = by_round(measured, ours, "ours", figure)
        theirs = by_round(measured, *other, figure) if other else []
        if mine and theirs:
            title = f"{name} ({PEERS[other[0]].title})" if other and other[0] != BARE else name
            found[title] = [a / b for a, b in zip(mine, theirs, strict=True)]
    return found


def spread(values: list[float], digits: int = 0) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def markdown(measured: dict[str, Any]) -> str:
    """Two tables: each loader's figures, best first, and the ratios that are claimed."""
    facts = measured["machine"]
    rounds = 1 + max(int(run["round"]) for run in measured["runs"])
    sizes = ", ".join(f"{FORMS[name]} {size:.0f} kB" for name, size in measured["kilobytes"].items())
    lines = [
        f"{measured['clips']} clips ({sizes}), 16 frames around the apex at 112×112, batch 16, two workers on "
        f"{facts['cores_used']} cores ({facts['processor']}), {rounds} rounds in turns, median (least–most).",
        "",
        "| loader | clips | first epoch, clips/s | repeat epoch, clips/s | first batch, ms | processor, ms a clip |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    entries = {(run["peer"], run["encoding"]) for run in measured["runs"]}
    order = sorted(entries, key=lambda entry: (entry[1], -statistics.median(by_round(measured, *entry, "first epoch"))))
    for peer, encoding in order:
        figures = [spread(by_round(measured, peer, encoding, figure)) for figure in list(FIGURES)[:3]]
        figures.append(spread(by_round(measured, peer, encoding, "processor"), 1))
        lines.append(f"| {PEERS[peer].title} | {FORMS[encoding]} | {' | '.join(figures)} |")
    lines += [f"| {title} | absent: {why} | | | | |" for title, why in measured["absent"].items()]
    lines += ["", "| ratio within a round | median | least | most |", "| --- | ---: | ---: | ---: |"]
    for name, values in ratios(measured).items():
        lines.append(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    return "\n".join(lines)


def draw(measured: dict[str, Any], path: Path) -> None:
    """Bars of the first and the repeat epoch, with the range of the rounds."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    entries = {(run["peer"], run["encoding"]) for run in measured["runs"]}
    names = sorted(
        {peer for peer, _ in entries},
        key=lambda peer: max(
            statistics.median(by_round(measured, *entry, "first epoch")) for entry in entries if entry[0] == peer
        ),
    )
    figure, panels = plt.subplots(1, 2, figsize=(11, 0.5 * len(names) + 1.6), sharey=True, layout="constrained")
    colors = {"default": "#b8c0c8", "ours": "#5b7c99"}
    for panel, which in zip(panels, ("first epoch", "repeat epoch"), strict=True):
        for row, peer in enumerate(names):
            forms = [encoding for encoding in FORMS if (peer, encoding) in entries]
            for number, encoding in enumerate(forms):
                values = by_round(measured, peer, encoding, which)
                middle = statistics.median(values)
                height = 0.8 / len(forms)
                at = row + 0.4 - height * (number + 0.5)
                color = "#d1603d" if PEERS[peer].ours else colors[encoding]
                errors = [[middle - min(values)], [max(values) - middle]]
                panel.barh(at, middle, height * 0.9, color=color, xerr=errors, error_kw={"lw": 1, "ecolor": "#333"})
                panel.annotate(
                    f"{middle:,.0f}",
                    (max(values), at),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                )
        panel.set_title(which, loc="left", fontsize=10)
        panel.set_xlabel("clips a second")
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.12)
    panels[0].set_yticks(range(len(names)), [PEERS[name].title for name in names])
    handles = [plt.Rectangle((0, 0), 1, 1, color=colors[name]) for name in FORMS]
    panels[0].legend(
        handles, [f"clips: {text}" for text in FORMS.values()], loc="lower right", fontsize=8, frameon=False
    )
    figure.savefig(path, dpi=130)
