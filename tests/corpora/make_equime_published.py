"""A stand-in of EquiME as published: videos in folders of emotions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora.stand_in import SIZE, Made, Planned, draw_face, strength_at

LABELS = ("happiness", "sadness", "surprise", "disgust", "anger")


def make(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    frames: int = 25,
    released: bool = True,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """Each identity has a video of every emotion. `released`: named as the files are, not as the README says."""
    events: dict[tuple[str, str, int], Planned] = {}
    for number in range(subjects):
        for label in LABELS:
            stem = f"{'fm'[number % 2]}_{6966 + seed + number}" + ("" if released else "_001")
            event = Planned(
                str(6966 + seed + number), f"{label}/{stem}", label, 0, 0, (frames - 1) // 2, frames - 1, frames - 1
            )
            top = root / ("hq_emotion" if released else "emotion_categories")
            write_video(top / f"{label}/{stem}.mp4", event, frames=frames, size=size)
            events[event.key] = event
    made = Made(root, len(events), events)
    if not quirks:
        return made
    (top / "fear").mkdir()
    (top / "fear" / "unknown_1.mp4").write_bytes(b"no video")
    (top / "joy").mkdir()
    event = Planned("2", "joy/m_2", "happiness", 0, 0, 0, 0, frames - 1)
    write_video(top / "joy" / "m_2.mp4", event, frames=frames, size=size)
    (top / "grid.mp4").write_bytes(b"another video")
    metadata = top / "disgust" / "metadata"
    metadata.mkdir()
    (metadata / "f_6966_metadata.json").write_text("{}")
    return Made(root, len(events) + 2, events, {"1/fear/unknown_1": "cannot be read", "2/joy/m_2": "label 'joy'"})


def write_video(path: Path, event: Planned, *, frames: int, size: int, fps: int = 24) -> None:
    """A video of H.264, as they are."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=fps)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for number in range(frames):
            picture = draw_face(
                event.label, strength_at(event, number), identity=sum(event.subject.encode()), size=size, color=True
            )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "bgr24")))
        container.mux(stream.encode())
