"""`equime verify`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from equime_builder.commands.shared import (
    AttributesFile,
    Curation,
    FaceModel,
    Folder,
    Json,
    Portraits,
    Workers,
    cores,
    print_json,
    progress_bar,
    say,
)
from equime_builder.requests import source_of


def verify(
    folder: Folder,
    repair: Annotated[bool, typer.Option("--repair", help="rebuild what is broken")] = False,
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    curation: Curation = None,
    face_model: FaceModel = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Check every promise of a dataset folder."""
    from equime_builder import manifest
    from equime_builder.repair import repair as mend
    from equime_builder.verify import verify as check

    if repair:
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
        for fault in faults:
            say(f"{'repaired' if repair else 'fault'}: {fault}")
        left = "repaired" if repair else "found"
        say(f"{folder}: {len(faults)} faults {left}" if faults else f"{folder}: every promise holds")
    if faults and not repair:
        raise typer.Exit(1)
