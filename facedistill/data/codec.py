"""Encoded photographs and pixels. Colour is RGB everywhere inside; OpenCV's BGR lives in this file alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# The published landmarks are in the pixels as stored, so an EXIF orientation is not followed.
FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An encoded photograph as (height, width, 3) uint8 RGB; grey becomes three equal channels.

    Raises ValueError where it is empty, cut or no image.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("cannot be decoded" if len(data) else "an empty file")
    return np.asarray(image, np.uint8)


def encode(image: NDArray[np.uint8], quality: int) -> bytes:
    """(height, width, 3) uint8 RGB as JPEG. quality: 1 to 100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
