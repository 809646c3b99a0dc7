"""Whether loaders delivered the same: the same clips, each once, and of each the frames that were asked for.

The reference of a clip is its window decoded by PyAV and scaled by area, with a frame more at either end. Each frame
delivered is compared with it on a few rows of pixels: resizers differ by a little everywhere, another clip by a lot. A
neighboring frame of a still face differs by less than the resizers do, so that a window that is one frame off shows
only in what changes from frame to frame, and must fit the reference's changes better as it stands than one off.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from peers.harness import Clip
    from peers.table import Peer

# As in the harness, which cannot be imported without torch.
FRAMES, SIZE, KEPT_ROWS = 16, 112, slice(14, None, 28)
# Mean absolute difference of a clip to the reference, in gray levels of 255. Resizers of good repute stay below 1.5.
MOST_DIFFERENCE = 2.5


class UnequalWorkError(ValueError):
    """A loader delivered other clips, or other frames, than it was asked for."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near a loader's frames are to the reference: the mean difference, the worst clip's, and in how many clips of
    all the changes from frame to frame fit best as they stand."""

    mean: float
    worst: float
    placed: int
    clips: int


def reference_rows(path: str, first: int) -> NDArray[np.uint8]:
    """(FRAMES + 2, rows, SIZE, 3): the rows kept of each frame from `first` - 1 on; the clip's ends are repeated."""
    import av
    import cv2

    with av.open(path) as container:
        frames = list(container.decode(video=0))
    wanted = np.clip(np.arange(first - 1, first + FRAMES + 1), 0, len(frames) - 1)
    whole = {n: frames[n].to_ndarray(format="rgb24") for n in set(wanted)}
    small = {n: cv2.resize(whole[n], (SIZE, SIZE), interpolation=cv2.INTER_AREA)[KEPT_ROWS] for n in whole}
    return np.stack([small[number] for number in wanted])


def references(clips: list[Clip]) -> dict[str, NDArray[np.uint8]]:
    return {clip.key: reference_rows(clip.path, clip.first) for clip in clips}


def check_keys(name: str, wanted: list[str], given: list[str]) -> None:
    """Raises UnequalWorkError unless each clip was given exactly once."""
    missing, extra = Counter(wanted) - Counter(given), Counter(given) - Counter(wanted)
    if missing or extra:
        raise UnequalWorkError(
            f"{name}: {missing.total()} clips missing, {extra.total()} not asked for or given twice; "
            f"the first: {next(iter(missing or extra))}"
        )


def place(rows: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean difference of the changes from frame to frame, to the reference one frame earlier, as asked, one later."""
    given, known = np.diff(rows.astype(np.int16), axis=0), np.diff(reference.astype(np.int16), axis=0)
    return np.array([np.abs(given - known[shift : shift + FRAMES - 1]).mean() for shift in range(3)])


def check_frames(
    name: str, keys: list[str], rows: NDArray[np.uint8], known: dict[str, NDArray[np.uint8]], *, reencoded: bool
) -> Agreement:
    """Compare what was kept of one epoch, (clips, FRAMES, 3, rows, SIZE), with the references.

    Raises:
        UnequalWorkError: a clip differs by more than MOST_DIFFERENCE, or fits better one frame off. Where the peer
            reencoded the clips, its own artifacts change from frame to frame, and the mean of all clips has to fit.
    """
    differences = np.empty(len(keys))
    fits = np.empty((len(keys), 3))
    for number, key in enumerate(keys):
        window = rows[number].transpose(0, 2, 3, 1)
        differences[number] = np.abs(window.astype(np.int16) - known[key][1:-1]).mean()
        fits[number] = place(window, known[key])
    worst = int(differences.argmax())
    if differences[worst] > MOST_DIFFERENCE:
        raise UnequalWorkError(
            f"{name}: {keys[worst]} differs from the reference by {differences[worst]:.2f} gray levels; "
            f"at most {MOST_DIFFERENCE}"
        )
    judged = fits.mean(axis=0, keepdims=True) if reencoded else fits
    off = judged[:, 1] > judged[:, [0, 2]].min(axis=1)
    if off.any():
        raise UnequalWorkError(f"{name}: {keys[int(off.argmax())]} fits the reference better one frame off")
    placed = int((fits[:, 1] < fits[:, [0, 2]].min(axis=1)).sum())
    return Agreement(round(float(differences.mean()), 3), round(float(differences[worst]), 3), placed, len(keys))


def check_delivery(
    peer: Peer, wanted: list[str], kept: Path, known: dict[str, NDArray[np.uint8]]
) -> list[dict[str, float]]:
    """Check every epoch that a peer's file of kept rows holds; how near each was.

    Raises:
        UnequalWorkError: other clips, or other frames.
    """
    agreements = []
    with np.load(kept) as arrays:
        for number, keys in enumerate(arrays["keys"].tolist()):
            name = f"{peer.title}, epoch {number + 1}"
            check_keys(name, wanted, keys)
            if peer.delivers:
                rows = arrays[f"rows{number}"]
                agreements.append(asdict(check_frames(name, keys, rows, known, reencoded=peer.reencodes)))
    return agreements
