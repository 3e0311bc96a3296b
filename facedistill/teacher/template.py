"""Templates: where the five points of a face are in an aligned crop; and the warp from one template to another.

Whole coordinates are the centres of pixels, as in `facedistill.crops.align`.
"""

from __future__ import annotations

from math import ceil, hypot
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facedistill.crops.align import NO_FACE, TEMPLATE, TEMPLATE_SIZE, Matrix, misfit, similarity

Point = tuple[float, float]
Name = Literal["arcface", "dlib"]
Template = Name | tuple[Point, Point, Point, Point, Point]
"""A name, or x, y of the five points in pixels of the crop that they are given for."""

DLIB_SIZE = 150
DLIB = np.array([[46.9, 47.2], [102.1, 47.2], [74.5, 80.6], [52.0, 108.2], [97.0, 108.2]])
"""Where the five points are in dlib's face chip of 150 pixels with padding 0.25 (http://dlib.net): its mean shape of 68
points, averaged to five."""

NAMED: dict[Name, tuple[NDArray[np.float64], int]] = {
    "arcface": (TEMPLATE, TEMPLATE_SIZE),
    "dlib": (DLIB, DLIB_SIZE),
}
"""The points of each named template, and the side of the crop that they are given for."""


def points(template: Template, side: int) -> NDArray[np.float64]:
    """The (5, 2) points of a template in a crop of `side` pixels, in the order of LANDMARKS.

    A named template is as large as the crop: its points are scaled to `side`. Points of the user are kept.
    Raises ValueError if points of the user are outside the crop, or fit no face.
    """
    if isinstance(template, str):
        found, size = NAMED[template]
        return (found + 0.5) * (side / size) - 0.5
    given = np.array(template, np.float64)
    if ((given < -0.5) | (given > side - 0.5)).any():
        raise ValueError(f"template: a point outside the input of {side}×{side} pixels")
    if misfit(given)[0] > NO_FACE:
        raise ValueError(
            "template: the points fit no face; expected are x and y of left eye, right eye, nose, left and right mouth "
            "corner, as seen in the image"
        )
    return given


def between(template: Template, side: int, other: Template, other_side: int) -> Matrix:
    """The similarity from crops of one template to crops of another: an exact one if there is one, else the nearest.

    It maps pixels of a crop of `side` pixels, aligned to `template`, to pixels of a crop of `other_side` pixels that is
    aligned to `other`. The same template at another side is exact, and so is a rotated, scaled or shifted one.
    """
    return similarity(points(template, side), points(other, other_side))


def warp(crops: NDArray[np.uint8], matrix: Matrix, side: int) -> NDArray[np.uint8]:
    """Move (N, height, width, 3) crops by one matrix: (N, side, side, 3), cubic, with the edges repeated outside.

    OpenCV rounds positions to 1/32 of a pixel. If the result is coarser than the crops, it is drawn k times finer and
    averaged over k×k pixels, so that nothing aliases.
    """
    k = max(1, ceil(1 / hypot(*matrix[:, 0]) - 1e-6))
    fine = k * matrix + [[0, 0, (k - 1) / 2]]
    moved = np.empty((len(crops), side, side, 3), np.uint8)
    for crop, place in zip(crops, moved, strict=True):
        drawn = cv2.warpAffine(crop, fine, (k * side, k * side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        place[:] = drawn if k == 1 else cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)
    return moved
