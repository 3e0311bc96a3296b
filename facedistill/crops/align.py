"""Geometry of alignment: the similarity between two sets of points, and the warp of an image by a matrix.

Integer coordinates are always the centres of pixels (OpenCV's convention): an image of width w spans −0.5 to w − 0.5,
a resize by s maps x to s·(x + 0.5) − 0.5, and a flip maps x to (w − 1) − x. A matrix is (2, 3) float64 and maps the
x, y of one space to the x, y of another.
"""

from __future__ import annotations

from math import ceil, hypot, inf

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Points = NDArray[np.float32]

TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points are in a crop of 112 pixels (Deng et al., ArcFace, https://arxiv.org/abs/1801.07698)."""

NO_FACE = 0.6
"""A misfit that no face has in any pose. Five points with left and right exchanged have a larger one."""

LARGEST = 2**15 - 1
"""The longest side, in pixels, of an image that OpenCV can warp."""


def similarity(points: NDArray[np.floating], target: NDArray[np.floating]) -> Matrix:
    """The rotation, scale and shift that bring (n, 2) points nearest to their targets.

    Umeyama 1991, eq. 40–43, https://doi.org/10.1109/34.88573. If a point is the complex number x + iy, rotation and
    scale are one complex factor. Least squares gives it: Σ p̄·q / Σ|p|², with p and q centred.
    Raises ValueError if the points coincide, or if no scale above 0 brings them nearer.
    """
    p, q = _complex(points), _complex(target)
    mean, target_mean = p.sum() / len(p), q.sum() / len(q)
    p -= mean
    spread = np.vdot(p, p).real
    if spread < 1e-6:
        raise ValueError("the landmarks coincide")
    factor = np.vdot(p, q - target_mean) / spread
    if abs(factor) < 1e-6:
        raise ValueError("the landmarks are not arranged like those of a face")
    shift = target_mean - factor * mean
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _complex(points: NDArray[np.floating]) -> NDArray[np.complex128]:
    """(n, 2) points as (n,) numbers x + iy. NumPy's linear algebra would take tens of microseconds for each face."""
    return np.array(points, np.float64, order="C").view(np.complex128)[:, 0]


def misfit(points: NDArray[np.floating], target: NDArray[np.float64] = TEMPLATE) -> tuple[NDArray[np.float64], Matrix]:
    """How far (…, n, 2) points are from `target` after the similarity that brings them nearest to it.

    Returns two arrays of shape (…,): the misfit and the angle of the rotation, −π to π. The misfit is the root mean
    square of the distances, divided by the distance between the template's eyes. It is below 0.23 for the faces of
    99 in 100 photographs, up to 0.55 for a face in full profile, and 0.66 for points that coincide.
    """
    p, q = (np.array(values, np.float64, order="C").view(np.complex128)[..., 0] for values in (points, target))
    p, q = p - p.mean(-1, keepdims=True), q - q.mean()
    factor, spread = (p.conj() * q).sum(-1), (abs(p) ** 2).sum(-1)
    left = (abs(q) ** 2).sum() - abs(factor) ** 2 / np.maximum(spread, 1e-12)
    return np.sqrt(np.maximum(left, 0) / len(q)) / np.hypot(*(TEMPLATE[1] - TEMPLATE[0])), np.angle(factor)


def transform(points: NDArray[np.floating], matrix: Matrix) -> Points:
    """(…, 2) points, moved by a matrix."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def invert(matrix: Matrix) -> Matrix:
    """The inverse: it maps the second space of `matrix` to the first."""
    (a, b, x), (c, d, y) = matrix.tolist()
    back: Matrix = np.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]]) / (a * d - b * c)
    return back


def warp(image: NDArray[np.uint8], matrix: Matrix, size: int) -> NDArray[np.uint8]:
    """The (size, size, 3) crop of an image. It is black where the photograph has no pixels.

    If the crop is coarser than the photograph, it is drawn k times finer and averaged over k×k pixels, so that stripes
    and noise do not alias. Raises ValueError if the face is too large or too small for that.
    """
    (a, b, _), (c, d, _) = matrix.tolist()
    if not 0 < (area := abs(a * d - b * c)) < inf:
        raise ValueError("a face too large or too small to cut")
    # The singular values of a 2×2 matrix are σ, the larger one, and |det| / σ.
    turned, mirrored = hypot(a + d, b - c), hypot(a - d, b + c)
    k = max(1, ceil((turned + mirrored) / 2 / area - 1e-6))
    if k * size > LARGEST:
        raise ValueError(f"the face is {k} times as fine as its crop, which is too much for a warp")
    fine = k * matrix + [[0, 0, (k - 1) / 2]]
    # A border repeats the outermost pixels: else the photograph's last half pixel would blend with the black outside.
    fine[:, 2] -= fine[:, :2].sum(1)
    bordered = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    drawn = cv2.warpAffine(bordered, fine, (k * size, k * size), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
