"""The `datasets` builder behind ``load_dataset("equime")``."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets.builder import Key

from equime_loader.schema import FIELDS, LABELS, LOCATION, VIDEO, features

# Files of each configuration, relative to the dataset. All splits of the metadata lie in the one index.
CONFIGS = {"default": "data/{split}-*.parquet", "metadata": "index.parquet"}


@dataclass
class EquimeConfig(datasets.BuilderConfig):
    """`default`: whole samples with video. `metadata`: labels, and where each sample's bytes lie in the tars."""


def _features(config: str) -> datasets.Features:
    if config == "metadata":
        return features((*LABELS, *LOCATION))
    columns = features(FIELDS)
    if not torchcodec_works():
        # `datasets` decodes with torchcodec only. Without it samples carry the bytes, which `read_video` decodes.
        columns[VIDEO] = datasets.Video(decode=False)
    return columns


def torchcodec_works() -> bool:
    """Whether torchcodec is installed and finds the system's FFmpeg libraries."""
    if importlib.util.find_spec("torchcodec") is None:
        return False
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError):
        return False
    return True


class Equime(datasets.ArrowBasedBuilder):
    """Reads the Parquet files of a dataset folder, local or remote, streaming or not."""

    BUILDER_CONFIG_CLASS = EquimeConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=_features(self.config.name))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        files = dl_manager.download(self.config.data_files)
        # All clips of a split may have been rejected or withdrawn; `datasets` cannot load a split without samples.
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": list(paths), "splits": [split] * len(paths)})
            for split, paths in files.items()
            if any(self._has_samples(path, split) for path in paths)
        ]

    def _has_samples(self, path: str, split: str) -> bool:
        with open(path, "rb") as file:
            parquet = pq.ParquetFile(file)
            if self.config.name != "metadata":
                return bool(parquet.metadata.num_rows)
            return split in pc.unique(parquet.read(columns=["split"])["split"]).to_pylist()

    def _generate_tables(self, files: list[str], splits: list[str]) -> Iterator[tuple[Key, pa.Table]]:
        schema = self.info.features.arrow_schema
        for number, (path, split) in enumerate(zip(files, splits, strict=True)):
            with open(path, "rb") as file:  # `datasets` replaces `open` here where the file is remote
                parquet = pq.ParquetFile(file)
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group)
                    if self.config.name == "metadata":
                        table = table.filter(pc.equal(table["split"], split))
                    if len(table):
                        yield Key(number, group), table.replace_schema_metadata(None).cast(schema)
