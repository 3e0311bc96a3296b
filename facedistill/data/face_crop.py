"""Crops one face from one photograph. Training and inference run the same code."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facedistill.crops import Crop
from facedistill.crops.align import (
    NO_FACE,
    TEMPLATE,
    TEMPLATE_SIZE,
    Matrix,
    Points,
    invert,
    misfit,
    similarity,
    transform,
    warp,
)
from facedistill.crops.codec import decode, encode, quarter_turns
from facedistill.params import params

SMALLEST_FACE = 2
"""The least extent of the five landmarks in pixels. A smaller face shows nothing."""

Box = tuple[float, float, float, float]
"""x and y of the upper left corner, width and height, all in pixels."""


@params
class CropParams:
    """How a face is cropped, in training and in testing.

    method: one of
        - landmarks: a similarity transform moves the five points onto ArcFace's template
        - centre: the largest square in the middle of the photograph
        - photograph: the whole photograph, squeezed into the square
        - box: a square around the face's box, or around the five points if there is no box, enlarged at each edge by
          `margin`
        - none: the photographs are aligned crops of this size already, and their bytes are copied
    pixels: the side of a crop.
    quality: the JPEG quality of a crop.
    margin: for `box`, a share of the longer side of the box.
    """

    method: Literal["landmarks", "centre", "photograph", "box", "none"]
    pixels: Annotated[int, Field(ge=8, le=1024)]
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    margin: Annotated[float, Field(ge=0)] = 0.2


def upright(data: bytes) -> NDArray[np.uint8]:
    """An encoded photograph as (height, width, 3) uint8 RGB, turned as its EXIF says. Raises as `decode` does."""
    image = decode(data)
    return np.ascontiguousarray(np.rot90(image, quarter_turns(data, image)))


def upright_points(data: bytes, points: Points) -> Points:
    """Moves (n, 2) points from the pixels of a photograph as stored to those of `upright`. Raises as `decode` does."""
    image = decode(data)
    width, height = image.shape[1::-1]
    for _ in range(quarter_turns(data, image)):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        width, height = height, width
    return points


def crop_matrix(
    crop: CropParams,
    image_size: tuple[int, int],
    landmarks: Points | None = None,
    box: Box | None = None,
) -> Matrix:
    """The matrix from a photograph of `image_size` (width, height) to its crop.

    Raises ValueError if crop.method needs landmarks, a box or a size that the photograph does not have, if the
    landmarks coincide, or if the box is outside the photograph.
    """
    width, height = image_size
    match crop.method:
        case "landmarks":
            if landmarks is None:
                raise ValueError("no landmarks, but crop.method: landmarks needs them")
            return similarity(landmarks, (TEMPLATE + 0.5) * (crop.pixels / TEMPLATE_SIZE) - 0.5)
        case "centre":
            side = float(min(width, height))
            return _window((width - side) / 2, (height - side) / 2, side, side, crop.pixels)
        case "photograph":
            return _window(0, 0, width, height, crop.pixels)
        case "box":
            if box is None:
                if landmarks is None:
                    raise ValueError("no box and no landmarks, but crop.method: box needs one of them")
                box = around(landmarks)
            x, y, w, h = box
            if x >= width or y >= height or x + w <= 0 or y + h <= 0:
                raise ValueError(f"a box outside the image of {width}×{height} pixels")
            side = max(w, h) * (1 + 2 * crop.margin)
            return _window(x + (w - side) / 2, y + (h - side) / 2, side, side, crop.pixels)
        case "none":
            if image_size != (crop.pixels, crop.pixels):
                raise ValueError(
                    f"{width}×{height} pixels, but crop.method: none needs crop.pixels, {crop.pixels}×{crop.pixels}"
                )
            return np.eye(2, 3)


def around(points: Points) -> Box:
    """The smallest box around (n, 2) points."""
    (left, top), (width, height) = points.min(0).tolist(), np.ptp(points, 0).tolist()
    return left, top, width, height


def _window(left: float, top: float, width: float, height: float, size: int) -> Matrix:
    sx, sy = size / width, size / height
    return np.array([[sx, 0, (0.5 - left) * sx - 0.5], [0, sy, (0.5 - top) * sy - 0.5]])


def crop_face(
    data: bytes, image: NDArray[np.uint8], crop: CropParams, landmarks: Points | None = None, box: Box | None = None
) -> Crop:
    """The crop of a photograph. With crop.method none it keeps the bytes, without a second compression.

    data: the encoded photograph.
    image: the decoded photograph, (height, width, 3) uint8 RGB.
    landmarks: (5, 2) in pixels of `image`.
    box: in pixels of `image`.

    Raises ValueError if a landmark is outside the image, if the landmarks fit no face, and as `crop_matrix` and `warp`
    do.
    """
    height, width = image.shape[:2]
    if landmarks is not None:
        _check_landmarks(landmarks, width, height)
    matrix = crop_matrix(crop, (width, height), landmarks, box)
    moved = None if landmarks is None else transform(landmarks, matrix)
    encoded = data if crop.method == "none" else encode(warp(image, matrix, crop.pixels), crop.quality)
    return Crop(encoded, moved, invert(matrix))


def _check_landmarks(landmarks: Points, width: int, height: int) -> None:
    # One pixel of tolerance: coordinates of lists are rounded, and some lists count from 1.
    if ((landmarks < -1) | (landmarks > (width, height))).any():
        raise ValueError(f"a landmark outside the image of {width}×{height} pixels")
    if np.ptp(landmarks, axis=0).max() < SMALLEST_FACE:
        raise ValueError(f"the landmarks coincide: all five lie within {SMALLEST_FACE} pixels")
    if misfit(landmarks)[0] > NO_FACE:
        raise ValueError("the landmarks fit no face: left and right have to be the image's, not the person's")
