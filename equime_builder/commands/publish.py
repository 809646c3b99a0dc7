"""`equime publish`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime_builder.commands.shared import Folder, Json, notes, print_json, progress_bar, say

if TYPE_CHECKING:
    from equime_builder.hub.editing import MakeEdit
    from equime_builder.hub.release import Release

Repository = Annotated[str, typer.Argument(help="dataset on the Hub: ORG/NAME", show_default=False)]


def publish(
    folder: Folder,
    repository: Repository,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be published, and send nothing")] = False,
    approved: Annotated[
        str | None, typer.Option(help="number of the list that a curator approved", show_default="any list")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="tag of the release, like v1.0.0", show_default="the next one")
    ] = None,
    remove_subject: Annotated[
        list[str] | None, typer.Option(help="take a subject out of the folder first, repeatable", show_default=False)
    ] = None,
    without_rejected: Annotated[
        bool, typer.Option("--without-rejected", help="take clips out that audit or review rejected")
    ] = False,
    strip_names: Annotated[
        bool, typer.Option("--strip-names", help="put numbers in the place of file names of photographs")
    ] = False,
    erase_history: Annotated[
        bool, typer.Option("--erase-history", help="delete earlier versions from the Hub, for good")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="open the page; the files stay behind the gate")] = False,
    as_json: Json = False,
) -> None:
    """Publish a dataset folder on the Hub: private and gated, unless told otherwise, and never half."""
    from equime_builder.hub.checks import lines, objections
    from equime_builder.hub.editing import numbering, refusal, withdrawal

    edits: list[MakeEdit] = [partial(withdrawal, subject=each) for each in remove_subject or ()]
    edits += [make for make, wanted in ((refusal, without_rejected), (numbering, strip_names)) if wanted]
    with _edition(folder, edits, dry_run) as root:
        with progress_bar(as_json) as bar:
            task = bar.add_task("checking", total=None, rate="")
            found = objections(root, progress=lambda shard: bar.update(task, description=f"checking {shard}"))
        if found:
            raise ValueError(f"{folder} is not published: {lines(found)}")
        if dry_run:
            _show(root, *_planned(root, repository, version), as_json, public=public)
            return
        _publish(root, repository, version, approved, as_json, public=public, erase=erase_history)


@contextmanager
def _edition(folder: Path, edits: Sequence[MakeEdit], dry_run: bool) -> Iterator[Path]:
    """The folder with its edits; those of a dry run are made aside and thrown away."""
    from equime_builder.hub.editing import before_of, edit_aside, replace_by_edition, resume_replacing

    if dry_run:
        with tempfile.TemporaryDirectory(dir=folder.resolve().parent, prefix=f".{folder.name}-") as aside:
            yield edit_aside(folder, edits, Path(aside))[0]
        return
    resume_replacing(folder)
    made = replace_by_edition(folder, edits) if edits else []
    for change in made:
        notes.print(f"{folder}: {_note(change.note)}", markup=False, highlight=False)
    if made:
        notes.print(f"what it was before lies in {before_of(folder)}: delete it", markup=False, highlight=False)
    yield folder


def _note(note: Any) -> str:
    subjects = ", ".join(note.get("subjects", ()))
    clips = f"; {note['clips']} clips" if "clips" in note else ""
    return f"{note['what']}{f': {subjects}' if subjects else ''}{clips}"


def _planned(root: Path, repository: str, version: str | None) -> tuple[Release, str]:
    """The release as it would be, and why it was not compared with the Hub, empty where it was."""
    from equime_builder.hub.client import Hub
    from equime_builder.hub.files import compare, planned_files
    from equime_builder.hub.release import ForeignError, Release, State, plan_release
    from equime_loader.storage.errors import StorageError
    from equime_loader.storage.retry import Retries

    try:
        return plan_release(Hub(repository, retries=Retries(attempts=2)), root, version=version), ""
    except ForeignError:
        raise
    except StorageError as error:
        why = str(error)
    files = planned_files(root)
    state = State(None, True, False, {}, {})
    return Release(version or "v1.0.0", files, compare(root, files, {}), state), why


def _publish(
    root: Path, repository: str, version: str | None, approved: str | None, as_json: bool, *, public: bool, erase: bool
) -> None:
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from equime_builder.hub.client import Hub
    from equime_builder.hub.files import digest
    from equime_builder.hub.release import erase_history, plan_release, publish, what_is_visible

    disable_progress_bars()  # one bar is enough
    hub = Hub(repository)
    release = plan_release(hub, root, version=version)
    if approved is not None and approved != digest(release.files):
        raise ValueError(
            f"--approved {approved}: the folder's list is {digest(release.files)} now; have it approved again "
            "(equime publish --dry-run)"
        )
    tell = (lambda _: None) if as_json else say
    for who, what in what_is_visible(release, public):
        tell(f"will be visible to {who}: {what}")
    with progress_bar(as_json) as bar:
        task = bar.add_task("sending", total=len(release.files), rate="")
        done = publish(
            hub,
            root,
            release,
            public=public,
            say=tell,
            progress=lambda file: bar.update(task, advance=1, description=file.path),
        )
    erased = erase_history(hub, done) if erase else 0
    facts = {"repository": repository, "version": done.version, "commit": done.commit, "sent": done.sent}
    if as_json:
        print_json({**facts, "private": done.private, "gated": "manual", "page": hub.page, "erased_files": erased})
        return
    if erase:
        tell(f"earlier versions erased, {erased} files of theirs deleted")
    where = "private" if done.private else "public"
    say(
        f"{hub.page}: {done.version}, {done.sent} of {len(release.files)} files sent, {where}, every request is decided"
    )
    if done.private:
        say("only its owners see it; `--public` opens the page, and `equime access` decides who may read")


def _show(root: Path, release: Release, why: str, as_json: bool, *, public: bool) -> None:
    from equime_builder.hub.checks import about, free_words
    from equime_builder.hub.files import digest
    from equime_builder.hub.release import what_is_visible

    rows = [
        {"change": change, "path": file.path, "bytes": file.size, "sha256": file.sha256}
        for change in ("add", "replace", "keep")
        for file in getattr(release.changes, change)
    ]
    rows += [{"change": "delete", "path": path, "bytes": 0, "sha256": ""} for path in release.changes.delete]
    facts = {
        "version": release.version,
        "list": digest(release.files),
        "compared_with_the_hub": not why,
        "visible": what_is_visible(release, public),
        "about": about(root),
        "words": free_words(root),
        "notes": _notes(root),
    }
    if as_json:
        print_json({**facts, "files": rows})
        return
    size = sum(file.size for file in release.files)
    say(f"release {release.version}: {len(release.files):,} files, {size / 1e6:,.1f} MB; nothing was sent")
    say(f"list {digest(release.files)}: approve it, and publish with --approved {digest(release.files)}")
    if why:
        say(f"not compared with the Hub ({why}): every file counts as new")
    for who, what in what_is_visible(release, public):
        say(f"visible to {who}: {what}")
    for name, fact in about(root).items():
        say(f"{name}: {fact}")
    for note in _notes(root):
        say(f"changed: {note}")
    for name, words in free_words(root).items():
        say(f"words in {name}: {' | '.join(words)}")
    for row in rows:
        say(f"{row['change']:8}{row['bytes']:>14,}  {row['path']}")


def _notes(root: Path) -> list[str]:
    from equime_builder import manifest
    from equime_builder.plan import changes_of

    return [_note(change) for change in changes_of(manifest.folder_header(root))]
