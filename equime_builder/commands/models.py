"""`equime models`."""

from __future__ import annotations

from typing import Annotated

import typer

from equime_builder.commands.shared import Json, print_json, say

ABSENT = {"sha256": "not known", "found": "missing"}


def models(
    fetch: Annotated[str | None, typer.Option(help="download this one into the cache", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """List the model files that features need: where they are looked for, size, license, sha256."""
    from equime_builder.models import MODELS, ModelMissing, fetch_model, find_model, places

    if fetch is not None:
        if fetch not in MODELS:
            raise ValueError(f"model {fetch!r} must be one of {', '.join(MODELS)}")
        say(f"{fetch_model(fetch)}: fetched and checked")
        return
    rows = []
    for model in MODELS.values():
        try:
            found: str | None = str(find_model(model.name))
        except ModelMissing:
            found = None
        looked = [str(path) for _, path in places(model)]
        facts = {name: getattr(model, name) for name in ("name", "feature", "size", "license", "sha256", "url")}
        rows.append({**facts, "option": model.option, "variable": model.variable, "places": looked, "found": found})
    if as_json:
        print_json(rows)
        return
    for number, row in enumerate(rows):
        if number:
            say("")
        for name, value in {**row, "size": MODELS[row["name"]].size_text}.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            if shown != "":
                say(f"{name:>8}: {ABSENT.get(name) if value is None else shown}")
