#!/usr/bin/env python3
"""What a rendition costs, and what its second encoding erases, beside clips that are scaled when they are read.

Clips are those of `scripts/measure_encoding.py`. Both are compared with the frames that were drawn, at the rendition's
size.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import cv2
import door
import numpy as np
from door import Count
from measure_encoding import Clip, clips
from numpy.typing import NDArray

from equime_builder.encode import encode
from equime_builder.profiles import Profile, load_profile
from equime_builder.rendition import rendered
from equime_builder.samples import FRAMES_BEFORE_APEX, keyframes
from equime_loader.tables import counted
from equime_loader.video.pyav import decode
from equime_loader.video.scale import Converter, Scaling, resize, yuv_matrix

WINDOW = 16
TIMES = 5


def fastest(call: Callable[[], object]) -> float:
    """Milliseconds."""
    took = []
    for _ in range(TIMES):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return 1000 * min(took)


def measure(clip: Clip, profile: Profile, size: int) -> Iterator[tuple[float, ...]]:
    """Of the clip and of its rendition: KB, ms to make, ms to read a window, PSNR of the apex, motion kept."""
    timing, side = clip.timing, profile.size
    begins = keyframes(timing.onset, timing.apex)
    labels = {"width": side, "height": side, "frames": len(clip.frames), "onset_frame": timing.onset}
    start = time.perf_counter()
    whole = encode(clip.frames, fps=profile.fps, keyframes=begins, video=profile.video).data
    encoded = time.perf_counter()
    small, _ = rendered(whole, {**labels, "apex_frame": timing.apex}, size, profile.video)
    made = time.perf_counter()
    yield len(whole) / 1000, 1000 * (encoded - start), *shown(whole, clip, size)
    yield len(small) / 1000, 1000 * (made - encoded), *shown(small, clip, size)


def shown(data: bytes, clip: Clip, size: int) -> tuple[float, float, float]:
    """Milliseconds to read a window, PSNR of the apex in dB, both of RGB, and motion kept, of luma."""
    timing = clip.timing
    first = max(0, timing.apex - FRAMES_BEFORE_APEX)
    window, ends = np.arange(first, first + WINDOW), np.array([timing.onset, timing.apex])
    color, gray = (Scaling((size, size), gray=gray) for gray in (False, True))
    reading = fastest(lambda: decode(data, window, color))
    error = decode(data, ends, color)[1].astype(float) - drawn(clip, ends, color)[1]
    moved = resize(np.where(clip.moved, 255, 0).astype(np.uint8), (size, size)) > 0
    meant, seen = (change(pictures)[moved] for pictures in (drawn(clip, ends, gray), decode(data, ends, gray)))
    return reading, float(10 * np.log10(255**2 / np.mean(error**2))), float(meant @ seen / (meant @ meant))


def drawn(clip: Clip, places: NDArray[np.int64], scaling: Scaling) -> NDArray[np.uint8]:
    """Frames as they were drawn, as a reader would show them."""
    side, _ = clip.moved.shape
    pictures = np.empty(scaling.shape(len(places), side, side), np.uint8)
    converter = Converter(pictures, side, side, yuv_matrix("bt601", full_range=False))
    for number, place in enumerate(places):
        planes = clip.frames[place]
        converter.put(number, (planes[:side], *planes[side:].reshape(2, side // 2, side // 2)))
    converter.flush()
    return pictures


def change(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    onset, apex = pictures[..., 0].astype(float)
    return np.asarray(apex - onset, np.float64)


def main(subjects: Count = 6, *, size: int = 112) -> None:
    cv2.setNumThreads(1)
    profile = load_profile("micro", subjects=subjects)
    rows = [list(measure(clip, profile, size)) for clip in clips(profile)]
    heads = "KB a clip | ms to make | ms to read 16 frames | apex PSNR, dB | motion kept"
    print(f"{counted(len(rows), 'clip')}\n\n| read at {size}² | {heads} |\n|{' --- |' * 6}")
    for name, of_clips in zip(("clip", "rendition"), zip(*rows, strict=True), strict=True):
        volume, making, reading, psnr, kept = (statistics.median(column) for column in zip(*of_clips, strict=True))
        print(f"| {name} | {volume:.0f} | {making:.0f} | {reading:.1f} | {psnr:.1f} | {kept:.3f} |")


if __name__ == "__main__":
    door.run(main)
