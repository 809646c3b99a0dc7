"""Running an estimator over many portraits, each once; and reading estimates from a table instead."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from equime_builder.attributes.estimates import FACE_SIZE, Estimate, Estimator, Face
from equime_builder.curation.scoring import Scored
from equime_builder.landmarks import cut
from equime_builder.pictures import decode_picture, locate, read_bytes, sha256
from equime_builder.portraits import PortraitError


def estimate_files(root: Path, scored: Iterable[Scored], estimator: Estimator) -> Iterator[dict[str, Estimate]]:
    """Estimates by SHA-256, a batch at a time, without files that show no face, are gone or changed after scoring."""
    faces = (face for each in scored if (face := load_face(root, each)) is not None)
    while batch := list(itertools.islice(faces, estimator.batch)):
        found = estimator.estimate(batch)
        yield {face.sha256: estimate for face, estimate in zip(batch, found, strict=True)}


def load_face(root: Path, scored: Scored) -> Face | None:
    """The face of a scored file, as an estimator is shown it."""
    if scored.sha256 is None or scored.scores.crop is None:
        return None
    try:
        data = read_bytes(locate(root, scored.reference))
        if sha256(data) != scored.sha256:
            return None
        image = cut(decode_picture(data), scored.scores.crop, FACE_SIZE)
    except PortraitError:
        return None
    return Face(scored.reference, scored.sha256, image, scored.scores.landmarks_at(FACE_SIZE))


def estimates_from_table(path: Path, scored: Iterable[Scored]) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Estimates by SHA-256 from a CSV as `sources.folder.read_attributes` takes it, and what is wrong with its rows.

    Raises:
        PortraitError: the table cannot be read or lacks its columns.
    """
    from equime_builder.sources.folder import read_attributes

    rows, faults = read_attributes(path)
    known = {each.reference: each.sha256 for each in scored}
    faults = dict(faults) | {name: f"{path.name}: no such portrait" for name in rows if name not in known}
    found = {
        digest: Estimate(path.name, row.gender, row.race, row.age)
        for name, row in rows.items()
        if (digest := known.get(name)) is not None
    }
    return found, faults
