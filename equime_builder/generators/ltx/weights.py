"""Where an LTX-Video pipeline lies on this machine, and which one it is. Nothing here downloads."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from equime_builder.generators.ltx.options import DEFAULT_MODELS, LtxOptions
from equime_builder.models import MODELS, ModelMissing, places

MODEL = MODELS["ltx-video"]
MODEL_ID = DEFAULT_MODELS["prompt"]
VARIABLE = MODEL.variable
CONTENT = "sha256:"
_INDEX = "model_index.json"
_BLOCK = 1 << 22


def pin(options: LtxOptions) -> LtxOptions:
    """The options with the revision that is on this machine, for a plan.

    A local folder's name and content then stand for model and revision.

    Raises:
        ModelMissing: there is none, or not the one that the options name.
    """
    folder = _local()
    if folder is None:
        hub = options.model or DEFAULT_MODELS[options.mode]
        return replace(options, model=hub, revision=_snapshot(replace(options, model=hub)).name)
    content = content_hash(folder)
    if options.revision not in ("", content):
        raise ModelMissing(_other(folder, content, options))
    return replace(options, model=options.model or folder.resolve().name, revision=content)


def find_pipeline(options: LtxOptions) -> Path:
    """Folder of the pipeline that the options name.

    Raises:
        ModelMissing: it is not on this machine, or is another one; one line that says where it was looked for.
    """
    folder = _local()
    if folder is None or (options.revision and not options.revision.startswith(CONTENT)):
        return _snapshot(options)
    if options.revision and (content := content_hash(folder)) != options.revision:
        raise ModelMissing(_other(folder, content, options))
    return folder


def _other(folder: Path, content: str, options: LtxOptions) -> str:
    return f"{folder} (${VARIABLE}) has content {content[:19]}…, but {options.revision[:19]}… is asked for"


def content_hash(folder: Path) -> str:
    """``sha256:`` and the hash over names and bytes of the files that the pipeline's index names."""
    total = hashlib.sha256()
    for path in [folder / _INDEX, *(path for part in _parts(folder) for path in sorted((folder / part).rglob("*")))]:
        if not path.is_file():
            continue
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest.hexdigest()}\n".encode())
    return CONTENT + total.hexdigest()


def _local() -> Path | None:
    """The folder that the environment names, or else the usual one if it is there."""
    where, index = places(MODEL)[-1]
    return _checked(index.parent, where) if os.environ.get(VARIABLE) or index.is_file() else None


def _parts(folder: Path) -> list[str]:
    """Subfolders of a pipeline in the layout of diffusers."""
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return sorted(name for name, value in index.items() if not name.startswith("_") and value and value[0])


def _checked(folder: Path, where: str) -> Path:
    try:
        parts = _parts(folder)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelMissing(f"{folder} ({where}) is no diffusers pipeline: it has no readable {_INDEX}") from error
    if lacking := [part for part in parts if not (folder / part).is_dir()]:
        raise ModelMissing(f"{folder} ({where}) lacks {', '.join(lacking)}, which its {_INDEX} names")
    return folder


def _snapshot(options: LtxOptions) -> Path:
    """The pipeline in the cache of the hub's client, which a user filled with ``hf download``."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, revision = options.model or DEFAULT_MODELS[options.mode], options.revision or None
    try:
        if revision and revision.startswith(CONTENT):
            raise LocalEntryNotFoundError("a local folder is in no cache")
        return _checked(Path(snapshot_download(name, revision=revision, local_files_only=True)), "cache")
    except (LocalEntryNotFoundError, HFValidationError, ModelMissing) as error:
        at = f" at revision {revision}" if revision else ""
        raise ModelMissing(
            f"generator ltx needs {name}{at} ({MODEL.size / 1e9:.0f} GB, {MODEL.license}), which is neither in "
            f"{places(MODEL)[-1][1].parent} (${VARIABLE} moves it) nor in the Hugging Face cache; get it with "
            f"`{MODEL.command.replace(MODEL_ID, name)}`"
        ) from error
