"""Pictures between the warp generator's planes, the RGB that LTX is conditioned on, and the video that it makes."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.generators.warp.planes import BT601, frame_planes

if TYPE_CHECKING:
    import torch

Bytes = NDArray[np.uint8]

# Lightricks/LTX-Video conditions on a picture that was blurred (3 taps, sigma 1) and compressed: stills cleaner than
# the frames it was trained on come out frozen.
BLUR_TAPS, BLUR_SIGMA, PICTURE_CRF = 3, 1.0, 29


def rgb_from_planes(frame: Bytes, size: tuple[int, int]) -> Bytes:
    """One I420 frame (3H/2, W) of `size` (H, W) as RGB (H, W, 3) uint8, BT.601 limited range."""
    y, u, v = frame_planes(frame, size)
    chroma = cv2.resize(np.dstack([u, v]).astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    yuv = np.dstack([y.astype(np.float32), chroma]) - BT601[:, 3]
    rgb = yuv @ np.linalg.inv(BT601[:, :3].astype(np.float64)).T.astype(np.float32)
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)


def planes_from_video(video: torch.Tensor) -> Bytes:
    """A decoded video (3, T, H, W) in -1..1, on any device, as I420 (T, 3H/2, W).

    The same arithmetic as `warp.planes.luma_and_chroma`, on pictures of 8 bits.
    """
    import torch

    matrix = torch.from_numpy(BT601).to(video.device)
    rgb = ((video.float() + 1) * 127.5).clamp(0, 255).round_()
    y, u, v = ((matrix[row, :3, None, None, None] * rgb).sum(0) + matrix[row, 3] for row in range(3))
    halves = [(c[:, ::2, ::2] + c[:, 1::2, ::2] + c[:, ::2, 1::2] + c[:, 1::2, 1::2]) / 4 for c in (u, v)]
    flat = torch.cat([plane.flatten(1) for plane in (y, *halves)], dim=1).round_().to(torch.uint8)
    frames, height, width = y.shape
    return np.asarray(flat.reshape(frames, 3 * height // 2, width).cpu().numpy())


def compressed(picture: Bytes) -> Bytes:
    """RGB (H, W, 3) as the model's authors prepare it: blurred, then one H.264 frame at CRF 29 and back."""
    import av

    blurred = cv2.GaussianBlur(picture, (BLUR_TAPS, BLUR_TAPS), BLUR_SIGMA)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", Fraction(25), Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(PICTURE_CRF), "preset": "veryfast"}
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(blurred, format="rgb24")), *encoder.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    return np.asarray(frames[0].to_ndarray(format="rgb24"), np.uint8)
