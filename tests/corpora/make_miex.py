"""A stand-in of MiE-X: pairs of pictures in folders that say identity, source and class."""

from __future__ import annotations

from pathlib import Path

from corpora.stand_in import SIZE, Made, Planned, write_frames

# Of the class's number, as MEGC2019 has them.
CLASSES = ("negative", "positive", "surprise")
SOURCES = {"mmew": "generated5k_mmewAU", "ck": "generated5k_ckAU", "prior": "generated5k_priorAU"}


def make(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    sources: tuple[str, ...] = ("mmew",),
    old: bool = False,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """`seed` numbers the first identity. `old`: the older names of the pictures."""
    name = "{}_out.png".format if old else "{}.jpg".format
    events: dict[tuple[str, str, int], Planned] = {}
    for subject in range(seed + 106, seed + 106 + subjects):
        for source in sources:
            for number, label in enumerate(CLASSES):
                event = Planned(f"{subject:06d}", f"{subject:06d}_{source}_{number}", label, 0, 0, 1, 1, 1)
                write_frames(root / SOURCES[source] / event.clip, name, event, size=size, color=True)
                events[event.key] = event
    made = Made(root, len(events), events)
    if not quirks:
        return made
    folder = root / SOURCES[sources[0]]
    (folder / "lists").mkdir()
    for clip, pictures in (("000900_mmew_0", (0,)), ("000901_mmew_3", (0, 1)), ("000902_mmew_1", (0, 1, 2))):
        event = Planned(clip[:6], clip, "positive", 0, 0, 1, 1, 2)
        write_frames(folder / clip, name, event, numbers=pictures, size=size)
    events[event.key] = event  # a third picture does no harm
    left_out = {"000900_mmew_0": "one of its two pictures", "000901_mmew_3": "class 3 is none"}
    return Made(root, len(events) + 2, events, left_out)
