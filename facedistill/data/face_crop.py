"""One face cut out of one photograph: the same code for training and for whoever uses what was trained."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facedistill.crops import Crop
from facedistill.crops.codec import decode, encode, quarter_turns
from facedistill.data.align import TEMPLATE, TEMPLATE_SIZE, Matrix, Points, invert, misfit, similarity, transform, warp
from facedistill.params import params

NO_FACE = 0.6
"""A misfit that no face has, however it is turned; five points with left and right exchanged have more."""

SMALLEST_FACE = 2
"""Pixels from the first to the last of five landmarks; in fewer there is nothing to see."""

Box = tuple[float, float, float, float]
"""x, y of the upper left corner, width, height; in pixels."""


@params
class CropParams:
    """method: how a crop is cut, the same at train and test.

    - landmarks: a similarity transform of the five points onto ArcFace's template
    - centre: the largest square in the middle
    - photograph: all of it, squeezed into the square
    - box: a square around the face's box, `margin` of its longer side added at each edge
    - none: aligned crops of this size already, whose bytes are copied

    pixels: side of a crop. quality: of its JPEG.
    """

    method: Literal["landmarks", "centre", "photograph", "box", "none"]
    pixels: Annotated[int, Field(ge=8, le=1024)]
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    margin: Annotated[float, Field(ge=0)] = 0.2


def upright(data: bytes) -> NDArray[np.uint8]:
    """An encoded photograph as (height, width, 3) uint8 RGB, turned as its EXIF says. Raises ValueError as `decode`."""
    image = decode(data)
    return np.ascontiguousarray(np.rot90(image, quarter_turns(data, image)))


def upright_points(data: bytes, points: Points) -> Points:
    """(n, 2) points in the pixels of a photograph as stored, in those of `upright`. Raises ValueError as `decode`."""
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
    """The matrix from a photograph of (width, height) to its crop, by the crop's method.

    Raises ValueError where the method needs landmarks, a box or a size and they are not there, or span nothing.
    """
    width, height = image_size
    match crop.method:
        case "landmarks":
            if landmarks is None:
                raise ValueError("no landmarks, which crop.method: landmarks needs")
            return similarity(landmarks, (TEMPLATE + 0.5) * (crop.pixels / TEMPLATE_SIZE) - 0.5)
        case "centre":
            side = float(min(width, height))
            return _window((width - side) / 2, (height - side) / 2, side, side, crop.pixels)
        case "photograph":
            return _window(0, 0, width, height, crop.pixels)
        case "box":
            if box is None:
                raise ValueError("no box, which crop.method: box needs")
            x, y, w, h = box
            if x >= width or y >= height or x + w <= 0 or y + h <= 0:
                raise ValueError(f"a box outside the image of {width}×{height} pixels")
            side = max(w, h) * (1 + 2 * crop.margin)
            return _window(x + (w - side) / 2, y + (h - side) / 2, side, side, crop.pixels)
        case "none":
            if image_size != (crop.pixels, crop.pixels):
                raise ValueError(
                    f"{width}×{height} pixels, where crop.method: none needs crop.pixels, {crop.pixels}×{crop.pixels}"
                )
            return np.eye(2, 3)


def _window(left: float, top: float, width: float, height: float, size: int) -> Matrix:
    sx, sy = size / width, size / height
    return np.array([[sx, 0, (0.5 - left) * sx - 0.5], [0, sy, (0.5 - top) * sy - 0.5]])


def crop_face(
    data: bytes, image: NDArray[np.uint8], crop: CropParams, landmarks: Points | None = None, box: Box | None = None
) -> Crop:
    """The crop of a photograph; crop.method none keeps its bytes, without a second compression.

    data: as encoded. image: (height, width, 3) uint8 RGB, decoded; landmarks, (5, 2), and box are in its pixels.
    Raises ValueError where a landmark lies outside the image, the landmarks are those of no face, and as `crop_matrix`
    and `warp` do.
    """
    height, width = image.shape[:2]
    if landmarks is not None:
        _check_landmarks(landmarks, width, height)
    matrix = crop_matrix(crop, (width, height), landmarks, box)
    moved = None if landmarks is None else transform(landmarks, matrix)
    encoded = data if crop.method == "none" else encode(warp(image, matrix, crop.pixels), crop.quality)
    return Crop(encoded, moved, invert(matrix))


def _check_landmarks(landmarks: Points, width: int, height: int) -> None:
    # A pixel's grace: lists are rounded, and some count from 1.
    if ((landmarks < -1) | (landmarks > (width, height))).any():
        raise ValueError(f"a landmark outside the image of {width}×{height} pixels")
    if np.ptp(landmarks, axis=0).max() < SMALLEST_FACE:
        raise ValueError(f"the landmarks coincide: all five lie within {SMALLEST_FACE} pixels")
    if misfit(landmarks)[0] > NO_FACE:
        raise ValueError("the landmarks of no face: left and right have to be the image's, not the person's")
