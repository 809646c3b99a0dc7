"""EquiME as its authors published it: generated videos, without events.

    emotion_categories/{emotion}/{m|f}_{identity}[_{sequence}].mp4     as its README says
    hq_emotion/disgust/f_6966.mp4                                      as the files are

The emotion is that of the folder. Nobody coded when a video's expression happens, nor that one does: onset is taken as
the first frame, offset as the last, the apex halfway, and the timing is `assumed`. Its sources do not agree on how many
there are (75,000 or 100,000); known is the paper's count. Demographics in `metadata/` were estimated by DeepFace, and
are not read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, Span
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import Known, Reading, VideoFile
from equime_loader.corpora.frames import VIDEOS
from equime_loader.corpora.sheets import SheetError
from equime_loader.schema import EMOTIONS

KNOWN = Known(rows=75_000, events=75_000)
RULES = Conventions("equime_published", 24.0, EMOTIONS, has_aus=False, first_frame=0)
NAME = r"(?P<gender>m|f|unknown)_(?P<identity>[0-9]+)(?:_(?P<sequence>[0-9]+))?"


def read(copy: Copy) -> Reading:
    """Every video of a copy.

    Raises:
        SheetError: no video is named as the dataset names them.
    """
    paths = [path for path in copy.wanted(copy.tree.named(NAME)) if path.suffix.lower() in VIDEOS and path.is_file()]
    if not paths:
        raise SheetError(f"{copy.tree.root}: no video named like disgust/f_6966.mp4")
    rows = copy.corrected([_annotation(copy, path) for path in paths])
    events = []
    for path, row in zip(paths, rows, strict=True):
        try:
            frames, fps = _length(path)
        except RowFault as fault:
            copy.ledger.left_out(row.where, row.name, str(fault))
            continue
        span = Span(0, (frames - 1) // 2, frames - 1, "assumed")
        events.append(copy.event(row, [VideoFile(path)], replace(RULES, fps=fps), span=span))
    return copy.reading("names of files", len(paths), events, KNOWN)


def _annotation(copy: Copy, path: Path) -> Annotation:
    match = re.fullmatch(NAME, path.stem, re.IGNORECASE)
    assert match
    # The name alone is not unique: each identity has a video in the folder of each emotion.
    clip = f"{path.parent.name}/{path.stem}"
    return Annotation(copy.tree.relative(path), match["identity"], clip, "0", "0", label=path.parent.name)


def _length(path: Path) -> tuple[int, float]:
    """Frames of a video, and how many there are in a second, as its header says.

    Raises:
        RowFault: it cannot be read.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames, rate = stream.frames, stream.average_rate
    except (av.FFmpegError, OSError, IndexError) as error:
        raise RowFault(f"the video cannot be read ({type(error).__name__})") from error
    if not frames or not rate or not 0 < rate <= 1000:
        raise RowFault(f"the video has {frames} frames, {rate} per second")
    return int(frames), float(rate)
