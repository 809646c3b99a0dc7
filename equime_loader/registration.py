"""Teaching `load_dataset` the name `equime`.

`datasets` has no public way to register a builder, and refuses repositories that hold a loading script. So the one
function that maps a name to a builder is wrapped; every other name goes through it untouched.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "equime"
LOAD = "datasets.load"
FOLDER_VARIABLE, REPOSITORY_VARIABLE = "EQUIME_DATA", "EQUIME_REPO"
DEFAULT_REPOSITORY = "equime/equime"
KNOWN_MAJORS = (5,)
BUILDER_MODULE = "equime_loader.hf"
_NEEDED = ("path", "revision", "download_config", "data_dir", "data_files")


def register_with_datasets() -> None:
    """Register now where `datasets` has been imported, else once it is.

    A package for such hooks would take longer to import than all else that `import equime_loader` does.
    """
    if load := sys.modules.get(LOAD):
        register(load)
    else:
        sys.meta_path.insert(0, _OnceImported())


class _OnceImported(MetaPathFinder):
    """Finds `datasets.load` as the other finders do, and registers once its code has been run."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != LOAD:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                register(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def register(load: ModuleType) -> None:
    """Wrap `datasets.load.dataset_module_factory`.

    Raises:
        RuntimeError: a version of `datasets` that this package does not know.
    """
    original = getattr(load, "dataset_module_factory", None)
    if getattr(original, "knows_equime", False):
        return
    _check_version(load, original)

    def dataset_module_factory(path: str, *args: Any, **kwargs: Any) -> Any:
        assert original is not None
        bound = inspect.signature(original).bind(path, *args, **kwargs).arguments
        return _module(load, bound) if path == NAME else original(path, *args, **kwargs)

    dataset_module_factory.knows_equime = True  # type: ignore[attr-defined]
    load.dataset_module_factory = dataset_module_factory  # type: ignore[attr-defined]


def _check_version(load: ModuleType, original: Any) -> None:
    import datasets

    version = getattr(datasets, "__version__", "unknown")
    known = version.split(".")[0] in map(str, KNOWN_MAJORS)
    parameters = inspect.signature(original).parameters if callable(original) else {}
    whole = all(hasattr(load, name) for name in ("DatasetModule", "BuilderConfigsParameters"))
    if not (known and whole and all(name in parameters for name in _NEEDED)):
        raise RuntimeError(
            f'equime_loader cannot teach datasets {version} the name "equime": it knows datasets '
            f"{', '.join(f'{major}.x' for major in KNOWN_MAJORS)}. Install one of them, or load the folder itself: "
            'load_dataset("PATH/TO/FOLDER") works with any version'
        )


def location(data_dir: str | None, revision: str | None) -> str:
    """Where the dataset lies: `data_dir`, ``$EQUIME_DATA``, or the Hub repository ``$EQUIME_REPO``.

    Raises:
        FileNotFoundError: a folder was named, and it is no EquiME dataset.
    """
    named = data_dir or os.environ.get(FOLDER_VARIABLE)
    if not named:
        repository = os.environ.get(REPOSITORY_VARIABLE) or DEFAULT_REPOSITORY
        return f"hf://datasets/{repository}{f'@{revision}' if revision else ''}"
    if "://" in named:
        return named.rstrip("/")
    folder = Path(named).expanduser().resolve()
    if not (folder / "index.parquet").is_file():
        asked = f"data_dir={data_dir!r}" if data_dir else f"${FOLDER_VARIABLE}={named!r}"
        raise FileNotFoundError(f"{asked} is no complete EquiME dataset: {folder}/index.parquet is missing")
    return folder.as_posix()


def _module(load: Any, arguments: dict[str, Any]) -> Any:
    from datasets import DownloadConfig
    from datasets.data_files import DataFilesDict

    from equime_loader.hf import CONFIGS, EquimeConfig
    from equime_loader.schema import SPLITS

    if arguments.get("data_files") is not None:
        raise ValueError('load_dataset("equime") takes data_dir=, not data_files=')
    download_config = arguments.get("download_config") or DownloadConfig()
    base = _pinned(location(arguments.get("data_dir"), arguments.get("revision")), download_config.token)
    configs, splits = [], SPLITS
    for name, pattern in CONFIGS.items():
        patterns = {split: [pattern.format(split=split)] for split in splits}
        files = _found(DataFilesDict, patterns, base, download_config)
        configs.append(EquimeConfig(name=name, data_files=files))
        # A small dataset may lack a split; the index cannot tell by its name.
        splits = tuple(files) or splits
    if not any(config.data_files for config in configs):
        raise FileNotFoundError(
            f"no EquiME dataset at {base}; name a folder with data_dir= or ${FOLDER_VARIABLE}, or a repository with "
            f"${REPOSITORY_VARIABLE}"
        )
    parameters = load.BuilderConfigsParameters(builder_configs=configs, default_config_name="default")
    return load.DatasetModule(BUILDER_MODULE, "equime", {"dataset_name": NAME}, parameters)


def _pinned(base: str, token: str | bool | None) -> str:
    """A dataset on the Hub at the commit that its revision names now, once this user may read it; else as it is.

    Offline it is what was downloaded before.

    Raises:
        StorageError: not logged in, no access, a pending request, no such dataset or revision; in one line.
    """
    if not base.startswith("hf://datasets/"):
        return base
    from equime_loader.storage.downloaded import downloaded_folder, is_offline
    from equime_loader.storage.hub import parse_url
    from equime_loader.storage.standing import commit_to_read

    where = parse_url(base)
    if is_offline():
        return (downloaded_folder(where.name, where.revision) / (where.folder or "")).as_posix()
    commit = commit_to_read(where.name, where.revision, token=token)
    return f"hf://datasets/{where.name}@{commit}{f'/{where.folder}' if where.folder else ''}"


def _found(data_files: Any, patterns: dict[str, list[str]], base: str, download_config: Any) -> Any:
    """Files of the splits that exist."""
    found = {}
    for split, pattern in patterns.items():
        with suppress(FileNotFoundError):
            files = data_files.from_patterns({split: pattern}, base_path=base, download_config=download_config)[split]
            if files:
                found[split] = files
    return data_files(found)
