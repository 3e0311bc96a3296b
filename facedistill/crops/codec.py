"""Encodes and decodes photographs. Colours are RGB everywhere; only this file knows OpenCV's BGR."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facedistill.crops.header import check_header

# A stage's report names photographs that cannot be decoded; OpenCV's own lines on the terminal say less.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Landmarks are in the pixels as stored, so the EXIF orientation is ignored here.
FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

EXIF = (b"Exif", b"eXIf", b"EXIF")
"""The bytes that mark EXIF data in a JPEG, a PNG and a WebP."""


def decode(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An encoded photograph as (height, width, 3) uint8 RGB. The format is that of its bytes, not of its name.

    Grey becomes three equal channels, 16 bits become 8, CMYK becomes RGB, and transparency is dropped. Raises
    ValueError if the data is empty, truncated, not an image, or too large by its header, which is read first.
    """
    width, height = check_header(bytes(data))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)
    except cv2.error:
        image = None
    if image is None or image.shape != (height, width, 3):
        raise ValueError("cannot be decoded")
    return np.asarray(image, np.uint8)


def encode(image: NDArray[np.uint8], quality: int) -> bytes:
    """(height, width, 3) uint8 RGB as JPEG. quality: 1 to 100."""
    return cv2.imencode(".jpg", to_bgr(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """(height, width, 3) uint8 RGB as PNG."""
    return cv2.imencode(".png", to_bgr(image))[1].tobytes()


def shrink(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 averaged down to (side, side, 3), so that nothing aliases; itself at that side."""
    if image.shape[0] == side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def to_bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, 3) RGB in the channel order that OpenCV's models and writers need."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)


def quarter_turns(data: bytes, image: NDArray[np.uint8]) -> int:
    """How many quarter turns to the left (`np.rot90`) make a photograph upright, by its EXIF: 0 to 3.

    data: the encoded photograph.
    image: what `decode` gives for it.

    0 also if the EXIF asks for a mirror image, which cameras do not write.
    """
    if not any(mark in data for mark in EXIF):
        return 0
    turned = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return next((k for k in range(4) if turned is not None and np.array_equal(np.rot90(image, k), turned)), 0)
