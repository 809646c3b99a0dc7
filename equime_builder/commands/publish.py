"""`equime publish`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime_builder.commands.shared import Folder, Json, notes, print_json, progress_bar, say
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.hub.client import Hub
    from equime_builder.hub.editing import MakeEdit
    from equime_builder.hub.release import Release

MOST_WORDS = 20  # of a column that a dry run prints
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
    from equime_builder import manifest
    from equime_builder.dataset_folder import before_of, check_dataset
    from equime_builder.documents.changes import change_in_words
    from equime_builder.hub.client import Hub
    from equime_builder.hub.editing import edition_aside, take_place
    from equime_builder.hub.release import plan_release
    from equime_builder.hub.state import ordered

    check_dataset(folder)
    manifest.read_header(folder)  # refuses a folder that was imported, before anything is written into it
    if version is not None:
        ordered(version)
    options: dict[str, Any] = {"version": version, "public": public, "erase": erase_history}
    edits = _edits(remove_subject or (), without_rejected=without_rejected, strip_names=strip_names)
    if dry_run:
        _name(folder, folder, repository)  # not its edition alone, which is made anew on the day of an approval
        with edition_aside(folder, edits) as edition:
            _check(folder, edition.path, as_json)
            release, why = _planned(edition.path, repository, **options)
            _show(edition.path, release, why, as_json)
            if not why:
                _check_approval(release, approved)
        return
    hub = Hub(repository)
    with edition_aside(folder, edits) as edition:
        _check(folder, edition.path, as_json)
        _name(folder, edition.path, repository)
        release = plan_release(hub, edition.path, **options)
        _check_approval(release, approved)
        for change in edition.edits:
            notes.print(f"{folder}: {change_in_words(change.note)}", markup=False, highlight=False)
        take_place(edition)  # only now, when all is decided: until here no edit has reached the folder
        if edition.edits:
            before = before_of(edition.root)  # by its real name: `.` has none, and a link may lie elsewhere
            notes.print(f"what it was before lies in {before}: delete it", markup=False, highlight=False)
            notes.print(
                "a page of `equime site` shows what has left until it is made and uploaded anew", highlight=False
            )
    _publish(hub, edition.root, release, as_json)


def _edits(remove_subject: Sequence[str], *, without_rejected: bool, strip_names: bool) -> list[MakeEdit]:
    """The edits that the options ask for, in the order in which they are made."""
    from equime_builder.hub.editing import numbering, refusal, withdrawal

    makers: tuple[tuple[MakeEdit, object], ...] = (
        (partial(withdrawal, subjects=remove_subject), remove_subject),
        (refusal, without_rejected),
        (numbering, strip_names),
    )
    return [make for make, wanted in makers if wanted]


def _check(folder: Path, edition: Path, as_json: bool) -> None:
    from equime_builder.hub.checks import lines, objections

    with progress_bar(as_json) as bar:
        task = bar.add_task("checking", total=None, rate="")
        found = objections(edition, progress=lambda shard: bar.update(task, description=f"checking {shard}"))
    if found:
        raise ValueError(f"{folder} is not published: {lines(found)}")


def _name(folder: Path, edition: Path, repository: str) -> None:
    """Let card and Croissant say where the dataset is to be found; the day of its first version stays as it was."""
    from equime_builder.documents.publication import publication_in, read_publication
    from equime_builder.finish import rewrite_texts

    known = read_publication(edition)
    if known is None or known.repository != repository:
        rewrite_texts(edition, publication_in(edition, repository))
        notes.print(f"{folder}: its card names {repository} from now on", markup=False, highlight=False)


def _check_approval(release: Release, approved: str | None) -> None:
    if approved is not None and not release.is_approved(approved):
        raise ValueError(
            f"--approved {approved}: the list is {release.number} now; have it approved again (equime publish "
            "--dry-run, with the same options)"
        )


def _planned(root: Path, repository: str, **options: Any) -> tuple[Release, str]:
    """The release as it would be, and why it was not compared with the Hub, empty where it was."""
    from equime_builder.hub.client import Hub
    from equime_builder.hub.release import ForeignError, plan_release, uncompared_release
    from equime_loader.storage.errors import StorageError
    from equime_loader.storage.retry import Retries

    try:
        return plan_release(Hub(repository, retries=Retries(attempts=2)), root, **options), ""
    except ForeignError:
        raise
    except StorageError as error:
        return uncompared_release(repository, root, **options), str(error)


def _publish(hub: Hub, root: Path, release: Release, as_json: bool) -> None:
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from equime_builder.hub.release import publish

    disable_progress_bars()  # one bar is enough
    # What cannot be called back is said before it is done, beside a JSON object too.
    tell = partial(notes.print, markup=False, highlight=False, soft_wrap=True) if as_json else say
    for line in _consequences(release):
        tell(line)
    with progress_bar(as_json) as bar:
        task = bar.add_task("sending", total=len(release.files), rate="")
        done = publish(
            hub,
            root,
            release,
            say=tell,
            progress=lambda file: bar.update(task, advance=1, description=file.path),
        )
    if done.erased:
        tell(f"earlier versions erased, {counted(done.erased.files, 'large file')} of theirs deleted")
        if done.erased.left:
            tell(
                f"{', '.join(done.erased.left)} stay: nobody but the Hub's support deletes pull requests. They hold no "
                "picture, but names of earlier shards and keys of their clips"
            )
    if as_json:
        facts = {"repository": release.name, "version": done.version, "commit": done.commit, "sent": done.sent}
        erased = {"erased_files": done.erased.files, "left": done.erased.left} if done.erased else {}
        print_json({**facts, "private": done.private, "gated": done.gated, "page": hub.page, **erased})
        return
    where = "private" if done.private else "public"
    say(f"{hub.page}: {done.version}, {done.sent} of {len(release.files)} files sent, {where}, gate {done.gated}")
    if done.private:
        say("only its owners see it; `--public` opens the page, and `equime access` decides who may read")


def _consequences(release: Release) -> list[str]:
    """Who will see what, and what is deleted for good."""
    from equime_builder.hub.release import what_is_erased, what_is_visible

    said = [f"will be visible to {who}: {what}" for who, what in what_is_visible(release)]
    erased = what_is_erased(release)
    return [*said, *([f"will be deleted for good: {erased}"] if erased else [])]


def _show(root: Path, release: Release, why: str, as_json: bool) -> None:
    from equime_builder.hub.checks import about, free_words
    from equime_builder.hub.release import what_is_erased, what_is_visible
    from equime_loader.renditions import FOLDER as RENDITIONS

    rows = [
        {"change": change, "path": file.path, "bytes": file.size, "sha256": file.sha256}
        for change in ("add", "replace", "keep")
        for file in getattr(release.changes, change)
    ]
    rows += [{"change": "delete", "path": path, "bytes": 0, "sha256": ""} for path in release.changes.delete]
    if as_json:
        facts = {
            "repository": release.name,
            "version": release.version,
            "list": None if why else release.number,
            "compared_with_the_hub": not why,
            "why": why,
            "visible": what_is_visible(release),
            "deleted_for_good": what_is_erased(release),
            "about": about(root),
            "words": free_words(root),
            "notes": _notes(root),
        }
        print_json({**facts, "files": rows})
        return
    size = sum(file.size for file in release.files)
    say(f"release {release.version}: {len(release.files):,} files, {size / 1e6:,.1f} MB; nothing was sent")
    if why:
        say(f"not compared with the Hub ({why}): every file counts as new, and there is no number to approve")
    else:
        say(f"list {release.number}: approve it, and publish with --approved {release.number}")
    for line in _consequences(release):
        say(line)
    for name, fact in about(root).items():
        say(f"{name}: {fact}")
    for note in _notes(root):
        say(f"changed: {note}")
    if (root / RENDITIONS).is_dir():
        say("its renditions stay here: whoever loads the clips makes them again")
    for name, words in free_words(root).items():
        more = f" | and {len(words) - MOST_WORDS:,} more, see --json" if len(words) > MOST_WORDS else ""
        say(f"words in {name}: {' | '.join(words[:MOST_WORDS])}{more}")
    for row in rows:
        say(f"{row['change']:8}{row['bytes']:>14,}  {row['path']}")


def _notes(root: Path) -> list[str]:
    from equime_builder import manifest
    from equime_builder.documents.changes import change_in_words
    from equime_builder.plan import changes_of

    return [change_in_words(change) for change in changes_of(manifest.folder_header(root))]
