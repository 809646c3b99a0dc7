"""The folder of a page: written from a dataset folder, the same bytes each time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from equime_builder import manifest
from equime_builder.documents.facts import portrait_license
from equime_builder.documents.publication import check_repository, read_publication
from equime_builder.finish import INDEX, LICENSE
from equime_builder.manifest import FolderError, read_plan
from equime_builder.plan import Plan
from equime_builder.readers import read_samples
from equime_builder.site import clips, figures
from equime_builder.site.choice import Choice, choose
from equime_builder.site.clips import Shown, show
from equime_builder.site.document import ASSETS, PAGE, Edition, clips_script, page, readme
from equime_builder.spread import SPREAD
from equime_loader.files import write_atomic
from equime_loader.index import Index
from equime_loader.schema import FIELD, LOCATION

VIDEOS, LISTED = 60, 1_000  # what a page has where nothing else is asked for
MOST_LISTED = 1_000
STILL_FOLDER, VIDEO_FOLDER, MARK = "stills", "videos", "site.json"
HTML, CLIPS = "index.html", "clips.js"
SHOWING = ("source", "generator", "corpus", "publication")
COLUMNS = dict.fromkeys((*clips.COLUMNS, *figures.COLUMNS, *SPREAD, *SHOWING, *(field.name for field in LOCATION)))
KINDS = {field.name: field.kind for field in (*FIELD.values(), *LOCATION)}
PARTS = re.compile(rf"{STILL_FOLDER}/[0-9]{{4}}\.jpg|{VIDEO_FOLDER}/[0-9]{{4}}\.mp4")
VERSION = re.compile(r"v[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
AT_ONCE = 100  # clips in memory
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What a page consists of.

    Attributes:
        clips, videos: how many. size: bytes of all. withheld: clips that were, by the reason.
        repository: where the page says that access is asked for, or none.
    """

    clips: int
    videos: int
    size: int
    withheld: tuple[tuple[str, int], ...]
    repository: str | None


def write_site(
    root: Path,
    target: Path,
    *,
    clips: int = LISTED,
    videos: int = VIDEOS,
    photographs: bool = False,
    repository: str | None = None,
    version: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Written:
    """Write the page of a dataset folder, in place of an earlier one.

    Args:
        target: an empty folder or none yet, or that of an earlier page; names that begin with a dot stay.
        clips: the most on the page. videos: the most of them that play.
        photographs: whether people on photographs of a folder may be shown; those of CelebA-HQ never are.
        repository: `owner/name` of the dataset on the Hub; None for where the folder says that it is published.
        version: its tag there.

    Raises:
        FolderError: the folder holds no index, no clips or no plan, lacks a file of samples, or says in a damaged file
            where it is published.
        ValueError: a number out of its bounds, no clip that may be shown, or a target that holds something else.
    """
    _check(root, target, clips=clips, videos=videos, repository=repository, version=version)
    if repository is None and (published := read_publication(root)):
        repository = published.repository
    index = read_table(root)
    choice = choose(index, clips=clips, videos=videos, photographs=photographs)
    plan = read_plan(root)
    judged = figures.verdicts(index, plan, [commit for _, commit in manifest.committed(root)])
    target.mkdir(parents=True, exist_ok=True)
    _clear(target)
    write_atomic(target / MARK, b"{}\n")
    for folder in (STILL_FOLDER, VIDEO_FOLDER):
        (target / folder).mkdir(exist_ok=True)
    data, sizes = [], {"stills": 0, "videos": 0, "video": 0}
    for number, one in enumerate(_shown(root, index, choice)):
        write_atomic(target / STILL_FOLDER / f"{number:04}.jpg", one.still)
        if one.video:
            write_atomic(target / VIDEO_FOLDER / f"{number:04}.mp4", one.video)
        data.append(one.data)
        sizes["stills"] += len(one.still)
        sizes["videos"] += len(one.video)
        sizes["video"] = max(sizes["video"], len(one.video))
        progress(number + 1, len(choice.rows))
    files = {name: (PAGE / name).read_bytes() for name in ASSETS}
    files[CLIPS] = clips_script(data).encode()
    edition = _edition(root, plan, version=version, repository=repository)
    files[HTML] = page(index, choice, edition, judged, data, sizes).encode()
    files["README.md"] = readme(edition).encode()
    for name, content in files.items():
        write_atomic(target / name, content)
    size = sizes["stills"] + sizes["videos"] + sum(map(len, files.values()))
    facts = {"clips": len(data), "videos": choice.videos, "bytes": size}
    write_atomic(target / MARK, (json.dumps(facts) + "\n").encode())
    return Written(len(data), choice.videos, size, choice.withheld, repository)


def _edition(root: Path, plan: Plan, *, version: str | None, repository: str | None) -> Edition:
    header = plan.header
    return Edition(
        version=version,
        repository=repository,
        plan=header["plan_sha256"],
        builder=header["builder_version"],
        source=header["source"],
        portraits=portrait_license(plan),
        license=plan.profile.license,
        terms=_text(root / LICENSE),
    )


def read_table(root: Path) -> pa.Table:
    """The columns of the index that a page needs; those of an older dataset that lacks them are null.

    Raises:
        FolderError: the folder holds no index, or one without clips. IndexFault: it is damaged.
    """
    if not (root / INDEX).exists():
        raise FolderError(f"{root}: holds no {INDEX}; finish the build first")
    index = Index.open(root)
    if not len(index):
        raise FolderError(f"{root}: {INDEX} holds no clip; there is nothing to show")
    return pa.table({name: index.column(name).cast(KINDS[name]) for name in COLUMNS})


def _check(root: Path, target: Path, *, clips: int, videos: int, repository: str | None, version: str | None) -> None:
    if not 1 <= clips <= MOST_LISTED:
        raise ValueError(f"{clips=} must lie within 1..{MOST_LISTED:,}")
    if not 0 <= videos <= clips:
        raise ValueError(f"{videos=} must lie within 0..clips, {clips:,}")
    if repository is not None:
        check_repository(repository)
    if version is not None and not VERSION.fullmatch(version):
        raise ValueError(f"{version=} must read like v1.0.0")
    if target.resolve() == root.resolve() or root.resolve() in target.resolve().parents:
        raise ValueError(f"target={target} must lie outside of the dataset folder, which holds nothing but the dataset")
    if target.exists() and not target.is_dir():
        raise ValueError(f"target={target} must be a folder")
    others = [] if (target / MARK).exists() or not target.is_dir() else sorted(path.name for path in target.iterdir())
    if strange := [name for name in others if not name.startswith(".")]:
        raise ValueError(f"target={target} holds {strange[0]!r}, which no earlier page wrote; name another folder")


def _clear(target: Path) -> None:
    """Remove an earlier page, stills and videos: files of our names and no others. What is cut now is no page."""
    for name in (HTML, CLIPS):
        (target / name).unlink(missing_ok=True)
    for folder in (STILL_FOLDER, VIDEO_FOLDER):
        for path in (target / folder).glob("*"):
            if PARTS.fullmatch(path.relative_to(target).as_posix()) and not path.is_dir():
                path.unlink()


def _shown(root: Path, index: pa.Table, choice: Choice) -> Iterator[Shown]:
    for start in range(0, len(choice.rows), AT_ONCE):
        rows: Sequence[Mapping[str, Any]] = index.take(np.array(choice.rows[start : start + AT_ONCE])).to_pylist()
        samples = read_samples(root, rows)
        for number, row in enumerate(rows, start=start):
            yield show(row, *samples[row["key"]], plays=number < choice.videos)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
