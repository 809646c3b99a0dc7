"""`equime site`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equime_builder.commands.shared import Complete, Json, print_json, progress_bar, say
from equime_loader.tables import counted

RELEASE = " (--photographs shows them, where they agreed or their portraits' license allows it)"


def site(
    folder: Complete,
    out: Annotated[Path, typer.Argument(help="folder of the page to write", show_default=False)],
    clips: Annotated[int, typer.Option(help="the most clips that are listed, up to 1,000")] = 1_000,
    videos: Annotated[int, typer.Option(help="the most of them that play")] = 60,
    repo: Annotated[
        str | None,
        typer.Option(help="owner/name of the dataset on the Hub", show_default="where the folder says it is published"),
    ] = None,
    version: Annotated[str | None, typer.Option(help="its tag on the Hub, like v1.0.0", show_default=False)] = None,
    photographs: Annotated[
        bool,
        typer.Option("--photographs", help="people of --source folder may be shown: consent or license allows it"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a page for people: clips in slow motion with their AU curves, figures, access, terms. No server needed."""
    from equime_builder.site.choice import UNRELEASED
    from equime_builder.site.folder import write_site

    with progress_bar(as_json) as bar:
        task = bar.add_task("clips", total=None, rate="")
        written = write_site(
            folder,
            out,
            clips=clips,
            videos=min(videos, clips),
            repository=repo,
            version=version,
            photographs=photographs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        facts = {"clips": written.clips, "videos": written.videos, "bytes": written.size}
        print_json({**facts, "withheld": dict(written.withheld)})
        return
    for reason, count in written.withheld:
        say(f"not shown: {reason}: {count:,}{RELEASE if reason == UNRELEASED else ''}")
    if written.repository is None:
        say("the page has no link to where access is asked for; add --repo OWNER/NAME")
    told = f"{counted(written.clips, 'clip')}, {counted(written.videos, 'video')}"
    say(f"{out / 'index.html'}: {told}, {written.size / 1e6:.1f} MB in all")
