"""What the comparison says: figures of each loader, ratios within rounds, a table and a picture."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers.table import BARE, CACHED, OURS, PEERS, PROCESSES, RENDITION

Runs = list[dict[str, Any]]
# A figure of one run of a peer.
Figure = Callable[[dict[str, Any]], float]
FIGURES: dict[str, Figure] = {
    # A whole epoch, from before the loader was made; and what follows its first batch: the rate of a long epoch.
    "first epoch": lambda run: float(run["epochs"][0]["rate"]),
    "running": lambda run: float(run["epochs"][0]["steady"]),
    "repeat epoch": lambda run: float(run["epochs"][1]["rate"]),
    "first batch": lambda run: 1000 * float(run["epochs"][0]["first_batch_s"]),
    "processor": lambda run: float(run["epochs"][0]["cpu_ms"]),
}
# Of the panels of the picture.
TITLES = {
    "first epoch": "first epoch, from the start",
    "running": "first epoch, after its first batch",
    "repeat epoch": "repeat epoch",
    "first batch": "first batch",
}
FORMS = {"default": "encoded at the defaults of libx264", "ours": "as EquiME's files"}
COLORS = {"default": "#b8c0c8", "ours": "#5b7c99"}
OURS_COLOR, CACHE_COLOR = "#d1603d", "#8f3a20"
# Height of a bar, of a row's 1.
BAR = 0.32


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


def as_json(measured: dict[str, Any]) -> str:
    """Everything measured, a line for each run and trial."""
    lists = {name: values for name, values in measured.items() if isinstance(values, list)}
    head = json.dumps({**measured, **{name: [] for name in lists}}, indent=1)
    for name, values in lists.items():
        lines = ",\n".join(f"  {json.dumps(value)}" for value in values)
        head = head.replace(f'"{name}": []', f'"{name}": [\n{lines}\n ]')
    return head + "\n"


def by_round(measured: dict[str, Any], peer: str, encoding: str, figure: str) -> list[float]:
    """A figure of a peer in each round; empty where it took no part."""
    runs = [run for run in measured["runs"] if (run["peer"], run["encoding"]) == (peer, encoding)]
    return [FIGURES[figure](run) for run in sorted(runs, key=lambda run: int(run["round"]))]


def middle_of(measured: dict[str, Any], peer: str, encoding: str, figure: str) -> float:
    return statistics.median(by_round(measured, peer, encoding, figure))


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
    ways = {"threads": OURS, "processes": PROCESSES, "processes, rendition": RENDITION}
    claims = (
        *(
            (f"{figure}, {way} / {name}", ours, figure, other)
            for figure in ("first epoch", "running")
            for way, ours in ways.items()
            for name, other in (
                ("best peer on default encoding", best_peer(measured, both[:1], figure)),
                ("best peer on EquiME's files", best_peer(measured, both[1:], figure)),
                ("bare libavcodec on the same files", (BARE, "ours")),
            )
            # A rendition has fewer pixels than the files that others read.
            if ours != RENDITION or "default" in name
        ),
        (
            "repeat epoch with window cache / best peer",
            CACHED,
            "repeat epoch",
            best_peer(measured, both, "repeat epoch"),
        ),
        *(
            (f"time to first batch, {way} / best peer's", ours, "first batch", best_peer(measured, both, "first batch"))
            for way, ours in ways.items()
        ),
    )
    found: dict[str, list[float]] = {}
    for name, ours, figure, other in claims:
        mine = by_round(measured, ours, "ours", figure)
        if not mine or other is None:
            continue
        peer, encoding = other
        if theirs := by_round(measured, peer, encoding, figure):
            title = name if peer == BARE else f"{name} ({PEERS[peer].title})"
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
        "| loader | clips | first epoch, clips/s | after its first batch | repeat epoch | first batch, ms "
        "| processor, ms a clip |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    entries = {(str(run["peer"]), str(run["encoding"])) for run in measured["runs"]}
    order = sorted(entries, key=lambda entry: (entry[1], -middle_of(measured, entry[0], entry[1], "first epoch")))
    for peer, encoding in order:
        figures = [
            spread(by_round(measured, peer, encoding, figure), digits=int(figure == "processor")) for figure in FIGURES
        ]
        lines.append(f"| {PEERS[peer].title} | {FORMS[encoding]} | {' | '.join(figures)} |")
    lines += [f"| {title} | absent: {why} | | | | | |" for title, why in measured["absent"].items()]
    lines += ["", "| ratio within a round | median | least | most |", "| --- | ---: | ---: | ---: |"]
    for name, values in ratios(measured).items():
        lines.append(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    return "\n".join(lines)


def bars_of(measured: dict[str, Any], peer: str, figure: str) -> list[tuple[str, list[float]]]:
    """(color, values by round) of a loader's bars, from the top. EquiME's row has its cache where an epoch repeats."""
    own = [(OURS_COLOR if PEERS[peer].ours else COLORS[form], by_round(measured, peer, form, figure)) for form in FORMS]
    if peer == OURS and figure == "repeat epoch":
        own.append((CACHE_COLOR, by_round(measured, CACHED, "ours", figure)))
    return [(color, values) for color, values in own if values]


def draw(measured: dict[str, Any], path: Path) -> None:
    """Bars of first epoch, repeat epoch and time to the first batch, with the range of the rounds; fastest on top."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    names = sorted(
        {str(run["peer"]) for run in measured["runs"]} - {CACHED},
        key=lambda peer: max(statistics.median(values) for _, values in bars_of(measured, peer, "first epoch")),
    )
    figure, panels = plt.subplots(1, 4, figsize=(15, 0.42 * len(names) + 1.5), sharey=True, layout="constrained")
    for panel, which in zip(panels, TITLES, strict=True):
        for row, peer in enumerate(names):
            bars = bars_of(measured, peer, which)
            for number, (color, values) in enumerate(bars):
                middle, at = statistics.median(values), row + BAR * ((len(bars) - 1) / 2 - number)
                errors = [[middle - min(values)], [max(values) - middle]]
                style = {"hatch": "////", "edgecolor": "white"} if not PEERS[peer].delivers else {}
                panel.barh(at, middle, 0.9 * BAR, color=color, xerr=errors, error_kw={"lw": 0.8}, **style)
                place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 7}
                panel.annotate(f"{middle:,.0f}", (max(values), at), **place)
        panel.set_title(TITLES[which], loc="left", fontsize=10)
        panel.set_xlabel("ms (less is better)" if which == "first batch" else "clips a second", fontsize=9)
        panel.tick_params(labelsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.15, y=0.01)
        panel.xaxis.set_major_locator(MaxNLocator(4))
    panels[0].set_yticks(range(len(names)), [PEERS[name].title for name in names])
    colors = {f"clips {text}": COLORS[form] for form, text in FORMS.items()}
    colors |= {"EquiME on its files": OURS_COLOR, "the same, window cache": CACHE_COLOR}
    handles = [Patch(color=color, label=text) for text, color in colors.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)
