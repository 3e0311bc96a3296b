"""Draws landmarks on a photograph, and writes pictures."""

from __future__ import annotations

from pathlib import Path

import cv2

from facedistill.crops.align import Points
from facedistill.crops.codec import encode_png
from facedistill.data.face_crop import upright
from facedistill.inference.face import PhotographError

COLOUR, EDGE = (213, 94, 0), (255, 255, 255)


def draw(photograph: Path, points: Points, out: Path) -> None:
    """Write the upright photograph as PNG, with (5, 2) points in its pixels. Raises PhotographError if that fails."""
    image = upright(photograph.read_bytes())
    radius = max(2, round(max(image.shape) / 120))
    for x, y in points:
        # With a shift of four bits, OpenCV takes coordinates in sixteenths of a pixel.
        centre = (round(16 * float(x)), round(16 * float(y)))
        for size, colour in ((radius + 1, EDGE), (radius, COLOUR)):
            cv2.circle(image, centre, 16 * size, colour, cv2.FILLED, cv2.LINE_AA, shift=4)
    write(out, encode_png(image))


def write(out: Path, picture: bytes) -> None:
    """Write a picture. Raises PhotographError, which names the file, if it cannot be written."""
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise PhotographError(f"{out}: {error.strerror or error}") from None
