"""Finds the face of a photograph by a landmark network: in many windows at first, then again and again where it is.

A landmark network gives five points for any window, with a face in it or not. Two things tell a face. Its points are
where the network saw faces in training, so a window that is cut around them gives the same points again. And they do
not move in the photograph when the window moves a little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from facedistill.crops.align import NO_FACE, Matrix, Points, invert, misfit, similarity, transform, warp
from facedistill.data.face_crop import SMALLEST_FACE, Box

Windows = NDArray[np.uint8]
"""(n, side, side, 3) RGB."""

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A landmark network as it is exported: from (n, 3, side, side) RGB to (n, 5, 2) points in units of the side."""

SIDES = ((1.25, 1.0, 0.7), (0.5, 0.35), (0.25, 0.2, 0.16))
"""Sides of the first windows, as shares of the photograph's shorter side. Small ones are looked at if need be."""

STEP = 0.5
"""The largest step between two windows of one size, as a share of their side."""

MANY, KEPT = 16, 2
"""So many faces of each size are looked at more closely: those that moved least, after one more pass and after two."""

SURE = 0.9
"""A face of this confidence is taken without a look at smaller ones."""

BOX = 2.0
"""How much larger a box around a face is than one around its five points, roughly."""

Nudge = tuple[float, float, float]
"""A move of a window: along x and y as shares of its side, and a change of size."""

NUDGES: tuple[Nudge, ...] = (
    (0.0, 0.0, 1.0),
    (0.06, 0.0, 1.0),
    (-0.06, 0.0, 1.0),
    (0.0, 0.06, 0.95),
    (0.0, -0.06, 1.05),
)
"""How the last windows on a face differ."""


@dataclass(frozen=True)
class Found:
    """A face that was found.

    landmarks: (5, 2) in pixels of the photograph, the mean over the last windows.
    spread: how far the points of the last windows are apart: the root mean square of their distances from the mean, as
        a share of the distance between the eyes.
    """

    landmarks: Points
    spread: float


class Finder:
    """Finds faces by a landmark network.

    side: of the network's input, in pixels.
    mean_shape: (5, 2) in units of the side, the mean of the points in training. Windows are cut such that the points of
        the face come near it.
    sure: a face with a smaller spread is taken without a look at smaller ones.
    """

    def __init__(self, network: Network, side: int, mean_shape: NDArray[np.floating], sure: float = 0.0) -> None:
        self._network, self._side, self._sure = network, side, sure
        self._shape = side * mean_shape

    def find(self, image: NDArray[np.uint8], box: Box | None = None) -> Found | None:
        """The face of a photograph that has the smallest spread; None if nothing is like a face.

        image: (height, width, 3) RGB, upright.
        box: x, y, width and height of the face in pixels; None to look all over the photograph.
        """
        if box:
            return _surest(self._look(image, *self._cut(image, [self._around(box)])))
        found = list[Found]()
        for sides in SIDES:
            found += self._look(image, *self._all_over(image, sides))
            if any(face.spread < self._sure for face in found):
                break
        return _surest(found)

    def near(self, image: NDArray[np.uint8], points: Points) -> Found | None:
        """The face near (5, 2) points, from several windows; None if they show nothing like a face."""
        faces = _faces(self._again(image, _faces(points[None])))
        if not len(faces):
            return None
        seen = self._again(image, faces, NUDGES)
        mean = seen.mean(0)
        return Found(mean, float(np.sqrt((_distance(seen, mean) ** 2).mean())))

    def _look(self, image: NDArray[np.uint8], windows: Windows, places: list[Matrix]) -> list[Found]:
        """The KEPT best faces of these windows, by the matrix from each window to the photograph, up to a sure one."""
        faces = _faces(self._landmarks_in(windows, places))
        moved = np.zeros(len(faces))
        for kept, nudge in ((MANY, NUDGES[1]), (KEPT, NUDGES[-1])):
            if len(faces) > kept:
                # Without a nudge a network that always gives its mean shape would give the same points again.
                again = self._again(image, faces, (nudge,))
                moved += _distance(again, faces)
                best = np.argsort(moved, kind="stable")[:kept]
                faces, moved = again[best], moved[best]
        found = list[Found]()
        for points in faces:
            if face := self.near(image, points):
                found.append(face)
                if face.spread < self._sure:
                    break
        return found

    def _all_over(self, image: NDArray[np.uint8], sides: tuple[float, ...]) -> tuple[Windows, list[Matrix]]:
        """Windows of these sides, and the matrix from each to the photograph. Outside the photograph they are black."""
        height, width = image.shape[:2]
        windows, places = [], []
        for share in sides:
            scale = self._side / (share * min(height, width))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
            across, down = (max(0, self._side - length) for length in size)
            left, top = across // 2, down // 2
            small = cv2.copyMakeBorder(small, top, down - top, left, across - left, cv2.BORDER_CONSTANT)
            back = np.diag([width / size[0], height / size[1]])
            for y in _starts(small.shape[0], self._side):
                for x in _starts(small.shape[1], self._side):
                    windows.append(small[y : y + self._side, x : x + self._side])
                    # Whole numbers are the centres of pixels.
                    places.append(np.column_stack([back, back @ (x - left + 0.5, y - top + 0.5) - 0.5]))
        return np.stack(windows), places

    def _around(self, box: Box) -> Matrix:
        """The matrix from the photograph to a window in which the face in the box is as large as in training."""
        x, y, width, height = box
        middle, scale = self._shape.mean(0).tolist(), BOX * float(np.ptp(self._shape, 0).max()) / max(width, height)
        return np.array(
            [[scale, 0, middle[0] - scale * (x + width / 2)], [0, scale, middle[1] - scale * (y + height / 2)]]
        )

    def _landmarks_in(self, windows: Windows, places: list[Matrix]) -> Points:
        """(n, 5, 2) points in the photograph, by the matrix from each window to the photograph."""
        points = self._side * self._network(np.ascontiguousarray(windows.transpose(0, 3, 1, 2)))
        return np.stack([transform(p, place) for p, place in zip(points, places, strict=True)])

    def _again(self, image: NDArray[np.uint8], faces: Points, nudges: tuple[Nudge, ...] = NUDGES[:1]) -> Points:
        """The points of each face, from windows that are cut around its points of before, one for each nudge."""
        places = []
        for points in faces:
            place = similarity(points, self._shape)
            for x, y, size in nudges:
                moved = size * place
                moved[:, 2] += (1 - size) * (self._side - 1) / 2 + self._side * np.array([x, y])
                places.append(moved)
        return self._landmarks_in(*self._cut(image, places)) if places else faces

    def _cut(self, image: NDArray[np.uint8], places: list[Matrix]) -> tuple[Windows, list[Matrix]]:
        """A window by each matrix from the photograph, and the matrix from each window to the photograph."""
        back = [invert(place) for place in places]
        return np.stack([self._window(image, *both) for both in zip(places, back, strict=True)]), back

    def _window(self, image: NDArray[np.uint8], place: Matrix, back: Matrix) -> NDArray[np.uint8]:
        """What the matrix `place`, whose inverse is `back`, cuts. `warp` copies what it gets, so it gets that part."""
        corners = np.array([(-1, -1), (self._side, -1), (-1, self._side), (self._side, self._side)])
        seen = corners @ back[:, :2].T + back[:, 2]
        first = np.clip(np.floor(seen.min(0)) - 2, 0, None).astype(int)
        last = np.minimum(np.ceil(seen.max(0)) + 3, image.shape[1::-1]).astype(int)
        if (first >= last).any():
            return np.zeros((self._side, self._side, 3), np.uint8)
        moved = np.column_stack([place[:, :2], place[:, 2] + place[:, :2] @ first])
        return warp(image[first[1] : last[1], first[0] : last[0]], moved, self._side)


def _surest(found: list[Found]) -> Found | None:
    return min(found, key=lambda face: face.spread, default=None)


def _faces(points: Points) -> Points:
    """Those of (n, 5, 2) points that can be a face: at least as large as one, and arranged like one."""
    large = np.ptp(points, axis=1).max(1) >= SMALLEST_FACE
    faces: Points = points[large & (misfit(points)[0] < NO_FACE)]
    return faces


def _starts(length: int, side: int) -> NDArray[np.intp]:
    """Where windows of `side` pixels begin, in even steps from one end of a line to the other."""
    steps = ceil((length - side) / (STEP * side))
    return np.linspace(0, length - side, steps + 1).round().astype(np.intp)


def _distance(a: Points, b: Points) -> NDArray[np.float64]:
    """(n,) root mean square distances between the points of faces, as shares of the distance between the eyes of b."""
    eyes = np.linalg.norm(b[..., 0, :] - b[..., 1, :], axis=-1)
    away: NDArray[np.float64] = np.sqrt(((a - b) ** 2).sum(-1).mean(-1)) / np.maximum(eyes, 1e-6)
    return away
