"""Who may see a repository: private, gated, and opened only behind a gate that was read just before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from equime_builder.hub.client import Hub
from equime_loader.storage.errors import StorageError

MANUAL = "manual"


def close_doors(hub: Hub, *, new: bool, may_be_public: bool, say: Callable[[str], None]) -> None:
    """Make a repository private, then gated; both are read back.

    Args:
        new: whether it is to be made. may_be_public: whether a public page may stay so.

    Raises:
        StorageError: a setting that does not hold.
    """
    if new:
        hub.ask(
            "making the repository",
            lambda api: api.create_repo(hub.name, repo_type="dataset", private=True, exist_ok=True),
        )
        say(f"{hub.page} made, private")
    private, gated = settings(hub)
    if not private and not may_be_public:
        _settle(hub, "making the page private", private=True)
        say("the page was public, it is private now")
    if gated != MANUAL:
        _settle(hub, "closing the gate", gated=MANUAL)
        say("gate: every request is decided by a person")


def open_page(hub: Hub) -> None:
    """Let everybody see the page, behind its gate.

    Raises:
        StorageError: a setting that does not hold.
    """
    private, gated = settings(hub)
    if gated != MANUAL:
        _settle(hub, "closing the gate", gated=MANUAL)
    if private:
        _settle(hub, "opening the page", private=False)


def check_doors(hub: Hub) -> tuple[bool, bool | str]:
    """How a repository stands at the end: whether it is private, and its gate.

    Raises:
        StorageError: the gate of a public page is open; the page is private then.
    """
    private, gated = settings(hub)
    if gated != MANUAL and not private:
        _settle(hub, "making the page private", private=True)
        raise StorageError(
            f"{hub.name}: its gate was set to {gated!r} meanwhile; the page is private now. Look at {hub.page}/settings"
            ", and run the same command again"
        )
    return private, gated


def settings(hub: Hub) -> tuple[bool, bool | str]:
    """Whether a repository is private, and its gate: False, `auto` or `manual`."""
    info = hub.ask("reading the settings", lambda api: api.dataset_info(hub.name))
    return bool(info.private), info.gated or False


def _settle(hub: Hub, doing: str, **wanted: Any) -> None:
    hub.ask(doing, lambda api: api.update_repo_settings(hub.name, repo_type="dataset", **wanted))
    found = dict(zip(("private", "gated"), settings(hub), strict=True))
    for name, value in wanted.items():
        if found[name] != value:
            raise StorageError(
                f"{hub.name}: {name}={found[name]!r} after setting it to {value!r}; nothing more was done. Set it on "
                f"{hub.page}/settings, and run the same command again"
            )
