"""Red photographs in all common formats, and broken ones, for the tests of readers and codec."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED = np.array([254, 0, 0], np.uint8)
SIZE = (60, 40)
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
SIDEWAYS = 6
"""The EXIF orientation of a camera held upright."""


def red(form: str, size: tuple[int, int] = SIZE, mode: str = "RGB", **settings: Any) -> bytes:
    """Write a red image of (width, height) with Pillow."""
    data = io.BytesIO()
    Image.new("RGB", size, (254, 0, 0)).convert(mode).save(data, form, **settings)
    return data.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def png(image: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """A PNG, with the orientation that EXIF gives it."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG", exif=exif(orientation))
    return data.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG with nothing between its header and its end."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + chunk + struct.pack(">I", zlib.crc32(chunk)) + PNG_END


_sixteen = np.zeros((SIZE[1], SIZE[0], 3), np.uint16)
_sixteen[..., 2] = 65278

GOOD = {
    "plain": red("JPEG", quality=100),
    "png": red("PNG"),
    "webp": red("WEBP", lossless=True),
    "bmp": red("BMP"),
    "cmyk": red("JPEG", mode="CMYK", quality=100),
    "palette": red("PNG", mode="P"),
    "transparent": red("PNG", mode="RGBA"),
    "sixteen_bits": cv2.imencode(".png", _sixteen)[1].tobytes(),
    "sideways": red("JPEG", quality=100, exif=exif(SIDEWAYS)),
    "progressive": red("JPEG", quality=100, progressive=True),
}
"""Each is red when it is decoded, and 60×40 as stored, whatever the name of its file."""

GREY = red("JPEG", mode="L")

BROKEN = {
    "empty": (b"", "an empty file"),
    "cut": (GOOD["plain"][:-60], "cannot be decoded"),
    "cut_png": (GOOD["png"][:-20], "cannot be decoded"),
    "text": (b"<html>404</html>", "not a JPEG, PNG, WebP or BMP image"),
    "zeros": (bytes(5000), "not a JPEG, PNG, WebP or BMP image"),
    "bomb": (png_header(60_000, 60_000), "60000×60000 pixels by its header"),
}
"""The bytes of each, and the reason that its message gives."""
