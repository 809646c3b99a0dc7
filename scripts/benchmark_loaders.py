#!/usr/bin/env python3
"""Loaders of video side by side: the same windows of the same clips, in one run, checked to be the same work.

Each loader reads the clips in its own format by its own best practice (`scripts/peers/`), in its own environment
(`scripts/peers/install.py`), with two workers on two cores. Two forms of the clips: `default`, encoded again at the
defaults of libx264, and `ours`, the bytes that the builder wrote. First the best setting of each loader is found, then
all take turns, in another order each round. A round is a process of its own: a first epoch, timed from before the
loader is made, and one more. The files have been read before.
The folder gets a rendition of 112 pixels where it has none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import door
import pyarrow.parquet as pq
import typer
from door import Dataset, Rounds
from peers import equal_work, report
from peers.table import PEERS, RENDITION, Peer

from equime_builder.rendition import make_rendition

ROOT = Path(__file__).resolve().parents[1]
ENCODINGS = ("default", "ours")
LIMIT_S = 3600
THREADS = 2  # before anything is timed
NOTE = "not-installed.txt"

# A job of a peer, and what it answers. Tests carry it out in their own process.
Launch = Callable[[Peer, dict[str, Any]], dict[str, Any]]


class PeerError(RuntimeError):
    """A peer did not carry out a job; the message is its last word."""


@dataclass(frozen=True, slots=True)
class Work:
    """The clips in one encoding, laid out in a folder: as files, as JSON lines, and what is known of their frames."""

    folder: Path
    encoding: str
    root: str
    keys: list[str]
    known: dict[str, Any] = field(repr=False)

    def job(self, peer: Peer, action: str, **more: Any) -> dict[str, Any]:
        common = {"clips": str(self.folder / "clips.jsonl"), "root": self.root}
        return {"action": action, "folder": str(self.folder / "written" / peer.name), **common, **more}


def encode_by_default(data: bytes) -> bytes:
    """A clip decoded and encoded again by libx264 as FFmpeg calls it when told nothing (one thread, so it repeats)."""
    import io

    import av

    out = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as source, av.open(out, "w", format="mp4") as target:
        stream = source.streams.video[0]
        made = target.add_stream("libx264", rate=stream.average_rate)
        made.width, made.height, made.pix_fmt, made.thread_count = stream.width, stream.height, stream.pix_fmt, 1
        for frame in source.decode(stream):
            frame.pict_type = av.video.frame.PictureType.NONE
            target.mux(made.encode(frame))
        target.mux(made.encode(None))
    return out.getvalue()


def chosen(folder: Path, count: int | None) -> list[dict[str, Any]]:
    """Rows of the index whose window lies within the clip, spread over the whole folder."""
    columns = ["key", "shard", "mp4_offset", "mp4_length", "apex_frame", "frames", "fps"]
    rows = pq.read_table(folder / "index.parquet", columns=columns).to_pylist()
    before = equal_work.FRAMES // 2
    rows = [row for row in rows if before <= row["apex_frame"] <= row["frames"] - before]
    if count is not None and not 0 < count <= len(rows):
        raise ValueError(f"clips={count} must lie within 1..{len(rows)}, the clips whose window is whole")
    take = len(rows) if count is None else count
    return [rows[number * len(rows) // take] for number in range(take)]


def lay_out(folder: Path, work: Path, rows: list[dict[str, Any]], encoding: str) -> Work:
    """Write the clips as files, with the list that peers are given, and decode what they will be checked against.

    What an earlier run wrote of the same clips is left as it is, with what the peers made of it.
    """
    target = work / encoding
    stamp = json.dumps([hashlib.sha256((folder / "index.parquet").read_bytes()).hexdigest(), rows])
    if not (target / "stamp.json").exists() or (target / "stamp.json").read_text() != stamp:
        shutil.rmtree(target, ignore_errors=True)
        (target / "clips").mkdir(parents=True)
        write_clips(folder, target, rows, encoding)
        (target / "stamp.json").write_text(stamp)
    lines = [json.loads(line) for line in (target / "clips.jsonl").read_text().splitlines()]
    with ThreadPoolExecutor(THREADS) as threads:
        decoded = threads.map(lambda line: equal_work.reference_rows(line["path"], line["first"]), lines)
        known = {line["key"]: rows for line, rows in zip(lines, decoded, strict=True)}
    return Work(target, encoding, str(folder.resolve()), [row["key"] for row in rows], known)


def write_clips(folder: Path, target: Path, rows: list[dict[str, Any]], encoding: str) -> None:
    def write(row: dict[str, Any]) -> dict[str, Any]:
        with open(folder / row["shard"], "rb") as shard:
            shard.seek(row["mp4_offset"])
            data = shard.read(row["mp4_length"])
        path = target / "clips" / f"{row['key']}.mp4"
        path.write_bytes(encode_by_default(data) if encoding == "default" else data)
        first = row["apex_frame"] - equal_work.FRAMES // 2
        return {"key": row["key"], "path": str(path), "first": first, "fps": row["fps"], "frames": row["frames"]}

    with ThreadPoolExecutor(THREADS) as threads:
        lines = list(threads.map(write, rows))
    (target / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def launcher(environments: Path) -> Launch:
    """Carry out jobs in processes of the peers' own environments."""

    def launch(peer: Peer, job: dict[str, Any]) -> dict[str, Any]:
        python = sys.executable if peer.environment is None else str(environments / peer.environment / "bin" / "python")
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": str(ROOT)}
        command = [python, str(peer.script), json.dumps({**job, "spawned": time.time()})]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_S, env={**os.environ, **offline}, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"{peer.title}: not done after {LIMIT_S} s") from error
        if done.returncode or not done.stdout.strip():
            raise PeerError(f"{peer.title}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return launch


def missing(peer: Peer, environments: Path) -> str | None:
    """Why a peer cannot take part; None where it can."""
    if peer.environment is None:
        return None
    folder = environments / peer.environment
    if (folder / NOTE).exists():
        return (folder / NOTE).read_text().strip()
    if not (folder / "bin" / "python").exists():
        return f"not installed: scripts/peers/install.py {peer.environment}"
    return None


def prepare(peers: list[Peer], works: dict[str, Work], launch: Launch) -> tuple[dict[str, Any], dict[str, str]]:
    """Let every peer write its datasets. The settings each offers, and why some cannot take part."""
    settings: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for peer in peers:
        for encoding in peer.encodings:
            # What an earlier run wrote stands while the peer's file is the same.
            script = hashlib.sha256(peer.script.read_bytes()).hexdigest()
            done = works[encoding].folder / f"{peer.name}-{script[:8]}.json"
            try:
                if not done.exists():
                    job = works[encoding].job(peer, "write")
                    shutil.rmtree(job["folder"], ignore_errors=True)
                    done.write_text(json.dumps(launch(peer, job)))
                settings[peer.name] = json.loads(done.read_text())["settings"]
            except PeerError as error:
                failed[peer.name] = str(error)
    return settings, failed


def run_once(peer: Peer, work: Work, settings: dict[str, Any], launch: Launch, epochs: int = 2) -> dict[str, Any]:
    """One process of a peer: its figures, checked to be of equal work.

    Raises:
        UnequalWorkError: it delivered something else. PeerError: it did not deliver.
    """
    kept = work.folder / "kept.npz"
    answer = launch(peer, work.job(peer, "read", settings=settings, kept=str(kept), epochs=epochs))
    agreement = equal_work.check_delivery(peer, work.keys, kept, work.known)
    kept.unlink()
    return {**answer, "agreement": agreement}


def tune(
    peers: list[Peer], works: dict[str, Work], offered: dict[str, Any], launch: Launch
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Try every setting of every peer once; of those that deliver, the one whose epochs are fastest is taken.

    All trials are kept. A peer of which no setting delivers gets none.
    """
    best: dict[str, Any] = {}
    trials: list[dict[str, Any]] = []
    for peer, encoding in [(each, encoding) for each in peers for encoding in each.encodings]:
        name, tried = f"{peer.name}/{encoding}", list[tuple[float, dict[str, Any]]]()
        for settings in offered[peer.name]:
            trial: dict[str, Any] = {"peer": peer.name, "encoding": encoding, "settings": settings}
            try:
                epochs = run_once(peer, works[encoding], settings, launch)["epochs"]
                trial["steady"] = [epoch["steady"] for epoch in epochs]
                tried.append((max(trial["steady"]), settings))
            except (PeerError, equal_work.UnequalWorkError) as error:
                trial["error"] = str(error)
            trials.append(trial)
        if tried:
            best[name] = max(tried, key=lambda found: found[0])[1]
            print(f"best setting of {name}: {best[name]}", file=sys.stderr, flush=True)
    return best, trials


def compare(
    folder: Path,
    work: Path,
    names: list[str],
    *,
    clips: int | None,
    rounds: int,
    environments: Path,
    launch: Launch | None = None,
    tuned: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run the comparison; everything measured, as plain values."""
    launch = launch or launcher(environments)
    if RENDITION in names:
        make_rendition(folder, equal_work.SIZE)
    rows = chosen(folder, clips)
    works = {encoding: lay_out(folder, work, rows, encoding) for encoding in ENCODINGS}
    reasons = {name: why for name in names if (why := missing(PEERS[name], environments))}
    offered, failed = prepare([PEERS[name] for name in names if name not in reasons], works, launch)
    reasons |= failed
    peers = [PEERS[name] for name in names if name not in reasons]
    known = tuned or {}
    untried = [peer for peer in peers if any(f"{peer.name}/{encoding}" not in known for encoding in peer.encodings)]
    best, trials = tune(untried, works, offered, launch)
    best = known | best
    entries = [
        (peer, encoding)
        for encoding in ENCODINGS
        for peer in peers
        if encoding in peer.encodings and f"{peer.name}/{encoding}" in best
    ]
    for trial in trials:
        if "error" in trial and f"{trial['peer']}/{trial['encoding']}" not in best:
            reasons[trial["peer"]] = trial["error"]
    runs: list[dict[str, Any]] = []
    versions: dict[str, dict[str, str]] = {}
    for number in range(rounds):
        turn = number * len(entries) // rounds
        for peer, encoding in entries[turn:] + entries[:turn]:
            result = run_once(peer, works[encoding], best[f"{peer.name}/{encoding}"], launch)
            versions[peer.name] = result.pop("versions")
            runs.append({"round": number, "peer": peer.name, "encoding": encoding, **result})
            first, again = (epoch["steady"] for epoch in result["epochs"])
            print(f"round {number + 1}: {peer.name}/{encoding} {first:.0f} {again:.0f}", file=sys.stderr, flush=True)
    return {
        "machine": report.machine(),
        "clips": len(rows),
        "kilobytes": {name: report.mean_kilobytes(works[name].folder / "clips") for name in works},
        "versions": versions,
        "settings": best,
        "trials": trials,
        "absent": {PEERS[name].title: why for name, why in reasons.items()},
        "runs": runs,
    }


def main(
    folder: Dataset,
    *,
    peers: Annotated[str, typer.Option(help="names, comma-separated")] = ",".join(PEERS),
    clips: Annotated[int | None, typer.Option(min=1, help="how many (all)")] = None,
    rounds: Rounds = 5,
    environments: Annotated[Path, typer.Option(envvar="EQUIME_PEERS")] = Path("build/peers"),
    work: Annotated[Path, typer.Option(help="where the peers' datasets go")] = Path("build/loaders"),
    tuned: Annotated[Path | None, typer.Option(help="JSON of an earlier run, whose settings are taken")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="where everything measured goes")] = None,
    figure: Annotated[Path | None, typer.Option(help="where the picture goes")] = None,
) -> None:
    names = door.one_of(peers.split(","), list(PEERS))
    # Two cores, for this process and all it starts.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    measured = compare(
        folder,
        work.resolve(),
        names,
        clips=clips,
        rounds=rounds,
        environments=environments.absolute(),
        tuned=json.loads(tuned.read_text())["settings"] if tuned else None,
    )
    if json_file:
        json_file.write_text(report.as_json(measured))
    print(report.markdown(measured))
    if figure:
        report.draw(measured, figure)


if __name__ == "__main__":
    door.run(main)
