"""Reading photographs from untrusted files."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from equime_builder.portraits import PortraitError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# What those files may hold. Pillow would go by the bytes and hand an EPS to Ghostscript, whatever the file is called.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MAX_BYTES = 100 * 2**20
MAX_PIXELS = 50_000_000
MIN_SIDE = 128


def locate(root: Path, reference: str) -> Path:
    """Path of a reference inside a source folder.

    Raises:
        PortraitError: the reference leads out of the folder or nowhere, or is no Unicode, which no plan can hold.
    """
    try:
        reference.encode()
    except UnicodeEncodeError as error:
        raise PortraitError("the file's name is not UTF-8; rename it") from error
    link = root / reference
    if link.is_symlink() and not link.exists():
        raise PortraitError("a broken link: the file that it names does not exist")
    path = link.resolve()
    if not path.is_relative_to(root.resolve()):
        raise PortraitError("leads out of the portrait folder")
    return path


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        PortraitError: unreadable or larger than `MAX_BYTES`.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PortraitError(f"file of {path.stat().st_size / 2**20:.0f} MiB is over {MAX_BYTES / 2**20:.0f} MiB")
        return path.read_bytes()
    except OSError as error:
        raise PortraitError(f"cannot be read: {error.strerror}") from error


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8, upright as its EXIF tag says, transparency on mid gray, 16 bits scaled to 8.

    Raises:
        PortraitError: not a picture, truncated, too large or too small.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of large pictures; what matters to us is an error below.
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PortraitError(
                    f"{width}x{height} pixels ({width * height / 1e6:.0f} megapixels) is over "
                    f"{MAX_PIXELS / 1e6:.0f} megapixels; make it smaller"
                )
            if min(width, height) < MIN_SIDE:
                raise PortraitError(f"{width}x{height} pixels is smaller than {MIN_SIDE} pixels")
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except PortraitError:
        raise
    except UnidentifiedImageError as error:
        raise PortraitError("not a picture") from error
    except Image.DecompressionBombError as error:
        raise PortraitError(f"over {MAX_PIXELS / 1e6:.0f} megapixels by far; make it smaller") from error
    # Pillow's plugins raise many kinds on hostile bytes; each of them means one broken file.
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, struct.error) as error:
        raise PortraitError(f"picture is broken or truncated: {error}") from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit gray: Pillow's own conversion clips at 255.
        values = np.asarray(image, dtype=np.float64)
        values = values / 257 if values.max(initial=0) > 255 else values
        gray = np.clip(np.round(values), 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (128, 128, 128, 255)), rgba)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()
