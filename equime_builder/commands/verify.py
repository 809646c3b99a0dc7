"""`equime verify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime_builder.commands.shared import (
    AttributesFile,
    Corrections,
    Curation,
    Dataset,
    FaceModel,
    FramesPart,
    Json,
    Portraits,
    SheetFile,
    Workers,
    cores,
    print_json,
    progress_bar,
    say,
)
from equime_builder.requests import source_of
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.verify import Fault


def verify(
    folder: Dataset,
    repair: Annotated[bool, typer.Option("--repair", help="rebuild what is broken, set aside what is foreign")] = False,
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    curation: Curation = None,
    face_model: FaceModel = None,
    corpus: Annotated[Path | None, typer.Option(help="of an imported folder: your copy", show_default=False)] = None,
    corrections: Corrections = None,
    sheet: SheetFile = None,
    frames: FramesPart = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Check every promise of a dataset folder."""
    from equime_builder import manifest
    from equime_builder.repair import repair as mend
    from equime_builder.verify import verify as check

    if repair and "corpus" in manifest.folder_header(folder):
        faults = _repair_import(folder, corpus, workers, corrections=corrections, sheet=sheet, frames=frames)
    elif repair:
        header = manifest.read_header(folder)
        where: dict[str, Any] = {
            "portraits": portraits,
            "attributes": attributes,
            "curation": curation,
            "face_model": face_model,
        }
        source = source_of(header["source"], header["source_options"], **where)
        faults = mend(folder, source, workers=cores(workers), face_model=face_model)
    else:
        with progress_bar(as_json) as bar:
            task = bar.add_task("checking", total=None, rate="")
            faults = check(folder, progress=lambda shard: bar.update(task, description=f"checking {shard}"))
    if as_json:
        rows = [{"path": fault.path, "message": fault.message} for fault in faults]
        print_json({"folder": str(folder), "faults": rows, "repaired": repair})
    else:
        for line in _repaired(folder, faults) if repair else _found(folder, faults):
            say(line)
        left = "repaired" if repair else "found"
        say(f"{folder}: {counted(len(faults), 'fault')} {left}" if faults else f"{folder}: every promise holds")
    if faults and not repair:
        raise typer.Exit(1)


def _found(folder: Path, faults: Sequence[Fault]) -> Iterator[str]:
    from equime_builder.verify import UNCOMMITTED

    absent = [fault for fault in faults if fault.message == UNCOMMITTED]
    if absent:
        shards = "1 shard is" if len(absent) == 1 else f"{len(absent):,} shards are"
        yield f"fault: {shards} not committed, first {absent[0].repair}; run the build again, with the same options"
    yield from (f"fault: {fault}" for fault in faults if fault not in absent)


def _repaired(folder: Path, faults: Sequence[Fault]) -> Iterator[str]:
    from equime_builder.repair import stray_folder
    from equime_builder.verify import STRAY

    for fault in faults:
        yield f"set aside in {stray_folder(folder)}: {fault.path}" if fault.repair == STRAY else f"repaired: {fault}"


def _repair_import(folder: Path, corpus: Path | None, workers: int | None, **options: Any) -> list[Fault]:
    from equime_builder.importing.origin import read_header
    from equime_builder.importing.run import repair_import
    from equime_loader.corpora import read_corpus

    name = read_header(folder)["corpus"]
    if corpus is None:
        raise ValueError(f"{folder} was imported; name the folder of your copy of {name} with --corpus")
    return repair_import(folder, read_corpus(name, corpus, **options), workers=cores(workers))
