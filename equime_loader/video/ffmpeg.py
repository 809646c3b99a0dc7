"""Any video that a corpus may come in, through FFmpeg's demuxer, from its first frame on.

FFmpeg reads hundreds of formats. Some of them are lists of other files and addresses, and pictures that unpack to
gigabytes are videos to it: only containers of video are let in.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from mmap import mmap
from typing import Any

import av
import numpy as np

from equime_loader.video.boxes import BoxFault, check_claims
from equime_loader.video.faults import VideoFault
from equime_loader.video.scale import Picture

# More than a 4K picture. A decoder holds up to 17 pictures.
MAX_PIXELS = 2**24
# What a decoder is opened with: errors are told instead of painted over.
DECODER_OPTIONS = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
# Packets of a file that shares bytes between them are endless; those of an honest one are hardly more than the file.
_MOST_BYTES_PER_BYTE = 2
_DEMUXERS = "mov,matroska,avi"
_CODECS = (
    "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg1video,mpeg2video,mpeg4,msmpeg4v2,msmpeg4,"
    "mjpeg,rawvideo,huffyuv,ffvhuff,ffv1,utvideo,prores,dvvideo,cinepak,indeo5,wmv3,h263"
)
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")


def frames(data: bytes | bytearray | memoryview | mmap) -> Generator[Any, None, None]:
    """Decoded frames (`av.VideoFrame`) of the first video track, in the order in which they are shown.

    Args:
        data: the file; a long one mapped, so that it need not lie in memory.

    Raises:
        VideoFault: no container of video, or damage.
    """
    _check_container(data)
    decoder = {**DECODER_OPTIONS, "codec_whitelist": _CODECS}
    left = _MOST_BYTES_PER_BYTE * len(data)
    try:
        with av.open(
            data if isinstance(data, mmap) else io.BytesIO(data),
            mode="r",
            options={**decoder, "format_whitelist": _DEMUXERS},
            metadata_errors="replace",
        ) as container:
            if not container.streams.video:
                raise VideoFault("holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise VideoFault("is encoded in a way that no decoder here knows")
            stream.thread_count = 1
            stream.codec_context.options = decoder
            for packet in container.demux(stream):
                left -= packet.size
                if packet.is_corrupt or left < 0:
                    raise VideoFault("a packet is cut off" if left >= 0 else "packets share bytes")
                yield from packet.decode()
    except VideoFault:
        raise
    except (av.FFmpegError, ValueError) as error:  # the latter: a place outside a file that is mapped
        raise VideoFault(f"the video does not decode ({getattr(error, 'strerror', None) or error})") from error


def _check_container(data: bytes | bytearray | memoryview | mmap) -> None:
    """By its first bytes: ISO/IEC 14496-12 and QuickTime, Matroska and WebM (EBML), AVI."""
    head = bytes(data[:12])
    if head[4:8] in _MOV_BOXES:
        try:
            check_claims(memoryview(data))
        except BoxFault as fault:
            raise VideoFault(f"the MP4 is damaged: {fault}") from fault
    elif head[:4] != b"\x1aE\xdf\xa3" and (head[:4], head[8:]) != (b"RIFF", b"AVI "):
        raise VideoFault("is neither MP4, MOV, Matroska, WebM nor AVI")


def rgb(frame: Any) -> Picture:
    """A frame as it is meant to be seen, (H, W, 3) uint8, by FFmpeg's own conversion."""
    picture = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90)
    return np.asarray(np.rot90(picture, turns) if turns else picture, np.uint8)
