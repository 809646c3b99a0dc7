"""What tests of publishing share: an owner, a quick and patient Hub client, and what must hold of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub_server import LocalHub

from equime_builder.hub.client import Hub
from equime_builder.hub.editing import Edit, MakeEdit, edition_aside, take_place
from equime_builder.hub.release import Published, plan_release, publish
from equime_loader.storage.retry import Retries

OWNER, READER, STRANGER = "hf_ownerSECRET", "hf_readerSECRET", "hf_strangerSECRET"
NAME = "lab/equime"
QUICK = Retries(attempts=4, first_delay_s=0.001, longest_delay_s=0.002)


def people(hub: LocalHub) -> None:
    """An owner who is a member of the organization, somebody who asks for access, and somebody who does not."""
    hub.user("curator", OWNER, "lab")
    hub.user("reader", READER, fullname="Rita Reader", email="rita@university.edu")
    hub.user("stranger", STRANGER)


def client(hub: LocalHub, token: str = OWNER, retries: Retries = QUICK) -> Hub:
    return Hub(NAME, token=token, endpoint=hub.url, retries=retries)


def release(hub: LocalHub, root: Path, token: str = OWNER, **options: Any) -> Published:
    owner = client(hub, token)
    return publish(owner, root, plan_release(owner, root, **options))


def replace_by_edition(root: Path, edits: Sequence[MakeEdit]) -> tuple[Edit, ...]:
    """Put an edition in the place of a folder, by the steps of the command; the edits that changed something."""
    with edition_aside(root, edits) as edition:
        take_place(edition)
    return edition.edits


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def on_main(hub: LocalHub, revision: str = "main") -> dict[str, bytes]:
    """Bytes of every file of ours at a revision."""
    files = hub.repository(NAME).files(revision)
    return {path: blob.data for path, blob in files.items() if path != ".gitattributes"}
