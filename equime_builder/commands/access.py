"""`equime access`: who asks for a published dataset, and who is let in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime_builder.commands.shared import Json, print_json, say
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.hub.access import Request
    from equime_builder.hub.client import Hub

app = typer.Typer(help="Who asks for a published dataset, and who is let in.")

Repository = Annotated[str, typer.Argument(help="dataset on the Hub: ORG/NAME", show_default=False)]
User = Annotated[str, typer.Argument(help="user name on the Hub", show_default=False)]


def _hub(repository: str) -> Hub:
    from equime_builder.hub.client import Hub
    from equime_loader.storage.retry import Retries

    return Hub(repository, retries=Retries(attempts=4, timeout_s=4.0))


@app.command("list")
def list_(
    repository: Repository,
    status: Annotated[str, typer.Option(help="pending, accepted or rejected")] = "pending",
    as_json: Json = False,
) -> None:
    """List requests: complete ones first, and what to look at in the others. Nothing is decided."""
    from equime_builder.hub.access import list_requests, pre_sorted

    rows = pre_sorted(list_requests(_hub(repository), status))
    if as_json:
        print_json([_plain(request, notes) for request, notes in rows])
        return
    for request, notes in rows:
        say(f"{request.user} ({request.fullname}), {request.asked_at:%Y-%m-%d}: {'; '.join(notes) or 'complete'}")
    say(f"{len(rows)} {status}; `equime access show {repository} USER` shows the answers")


def _plain(request: Request, notes: list[str]) -> dict[str, Any]:
    return {**asdict(request), "asked_at": request.asked_at.isoformat(), "look_at": notes}


@app.command()
def show(repository: Repository, user: User, as_json: Json = False) -> None:
    """Show a request: what was answered, and what to look at."""
    from equime_builder.hub.access import find_request, look_at

    request = find_request(_hub(repository), user)
    notes = look_at(request)
    if as_json:
        print_json(_plain(request, notes))
        return
    say(f"{request.user} ({request.fullname}, {request.email or 'address not shared'}): {request.status}")
    say(f"asked at {request.asked_at:%Y-%m-%d %H:%M} UTC")
    for label, answer in request.answers.items():
        say(f"{label}: {answer}")
    for note in notes:
        say(f"look at: {note}")


@app.command()
def accept(repository: Repository, users: Annotated[list[str], typer.Argument(help="user names")]) -> None:
    """Let people in who have asked; each by name. Who cannot be let in is told at the end."""
    from equime_builder.hub.access import accept as decide
    from equime_builder.hub.access import each_of

    def let_in(user: str) -> None:
        decide(hub, user)
        say(f"{user} may read {repository}")

    hub = _hub(repository)
    each_of(users, let_in)


@app.command()
def reject(
    repository: Repository,
    user: User,
    reason: Annotated[str, typer.Option(help="why, at most 200 letters; the user reads it", show_default=False)],
) -> None:
    """Reject a request, or shut somebody out again."""
    from equime_builder.hub.access import reject as decide

    decide(_hub(repository), user, reason)
    say(f"{user} may not read {repository}")


@app.command()
def grant(repository: Repository, user: User) -> None:
    """Let somebody in who has not asked."""
    from equime_builder.hub.access import grant as decide

    decide(_hub(repository), user)
    say(f"{user} may read {repository}")


@app.command()
def export(repository: Repository, file: Annotated[Path, typer.Argument(help="CSV", show_default=False)]) -> None:
    """Write all requests to a register for the institution. It holds names and addresses: keep it as such."""
    from equime_builder.hub.access import all_requests, write_register

    requests = all_requests(_hub(repository))
    write_register(file, requests)
    say(f"{file}: {counted(len(requests), 'request')}; it holds personal data")
