"""A face as it was found: the photograph around it, with the outline of what the model saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facedistill.crops.align import Points, transform, warp
from facedistill.data.face_crop import upright
from facedistill.inference.face import Face, PhotographError

PIXELS = 480
"""The side of a portrait."""

AROUND = 0.35
"""How much of the photograph is shown on each side of what the model saw, as a share of its longer side."""


@dataclass(frozen=True)
class Portrait:
    """The upright photograph around a face.

    image: (PIXELS, PIXELS, 3) uint8 RGB, black where the photograph has no pixels.
    outline: (4, 2) corners of what the model saw, clockwise from its upper left, in pixels of `image`.
    points: (5, 2) in pixels of `image`; None if they are unknown.
    """

    image: NDArray[np.uint8]
    outline: Points
    points: Points | None


def portrait(photograph: Path | bytes, face: Face, side: int) -> Portrait:
    """The portrait of a face.

    photograph: the file that `face` was found in, or its bytes.
    side: the side of the model's input, which is the central part of `face.crop`.

    Raises PhotographError if the face is too large or too small to show.
    """
    image = upright(photograph if isinstance(photograph, bytes) else photograph.read_bytes())
    height, width = image.shape[:2]
    # Whole coordinates are the centres of pixels, so the first pixel begins half a pixel before.
    low = (face.crop.shape[0] - side) // 2 - 0.5
    corners = np.array([(low, low), (low + side, low), (low + side, low + side), (low, low + side)])
    seen = transform(corners, face.to_original)
    first, last = seen.min(0), seen.max(0)
    room = AROUND * float((last - first).max())
    # Beyond the photograph there is nothing to see, unless the model saw it.
    first = np.minimum(first, np.maximum(first - room, -0.5))
    last = np.maximum(last, np.minimum(last + room, (width - 0.5, height - 0.5)))
    scale = PIXELS / float((last - first).max())
    shift = PIXELS / 2 - 0.5 - scale * (first + last) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    try:
        shown = warp(image, matrix, PIXELS)
    except ValueError as error:
        name = "photograph" if isinstance(photograph, bytes) else str(photograph)
        raise PhotographError(f"{name}: {error}") from None
    return Portrait(
        shown, transform(seen, matrix), None if face.landmarks is None else transform(face.landmarks, matrix)
    )
