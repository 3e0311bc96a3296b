"""Errors of five landmarks in the pixels of the original photograph, in percent of the distance between the eyes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facedistill.evaluation.pairs import UndefinedMetricError


def nrmse(predicted: ArrayLike, true: ArrayLike) -> float:
    """Return the mean of `nrmse_per_image`, in percent, as in Table 3 of Wang et al. 2017."""
    return float(nrmse_per_image(predicted, true).mean())


def nrmse_per_image(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Return (n,) percent: 100 · sqrt(mean over points of the squared distance) / distance between the true eyes.

    predicted, true: (n, 5, 2), x and y in pixels of the original photograph, in the order of data.photograph.LANDMARKS.

    Raises ValueError, which names the row, for a value that is not finite, and UndefinedMetricError if both true eyes
    are at one point.
    """
    squared, eyes = _squared_distances(predicted, true)
    errors: NDArray[np.float64] = 100 * np.sqrt(squared.mean(axis=1)) / eyes
    return errors


def nme(predicted: ArrayLike, true: ArrayLike) -> float:
    """Return the mean point error divided by the distance between the true eyes, averaged over images, in percent.

    Shapes, units and errors are as in `nrmse_per_image`. The NME is never above the NRMSE.
    """
    squared, eyes = _squared_distances(predicted, true)
    return float((100 * np.sqrt(squared).mean(axis=1) / eyes).mean())


def to_original(landmarks: NDArray[Any], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (n, 5, 2) points of crops to pixels of their photographs, by (n, 2, 3) matrices."""
    return landmarks @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]


def mean_shape(train: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return the baseline that ignores the image: it predicts the mean of the training landmarks for `count` images.

    train: (n, 5, 2), in units of the crop's side (0..1).

    Returns (count, 5, 2) in the same units, to be mapped to photographs in the same way as the output of a network.
    Raises ValueError if `train` is empty or not finite.
    """
    points = np.asarray(train, dtype=np.float64)
    if points.shape[1:] != (5, 2) or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"expected finite (n, 5, 2) training landmarks, found {points.shape}")
    return np.tile(points.mean(axis=0), (count, 1, 1))


def _squared_distances(predicted: ArrayLike, true: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n, 5) squared distances of points in pixels², and (n,) distances between the true eyes in pixels."""
    p, t = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if p.shape != t.shape or t.shape[1:] != (5, 2) or not len(t):
        raise ValueError(f"expected (n, 5, 2) predicted and true landmarks, found {p.shape} and {t.shape}")
    if len(bad := np.flatnonzero(~np.isfinite(p - t).all(axis=(1, 2)))):
        raise ValueError(f"row {bad[0]}: a predicted or true landmark is not finite ({len(bad)} of {len(t)} rows)")
    eyes = np.linalg.norm(t[:, 0] - t[:, 1], axis=1)
    if len(bad := np.flatnonzero(eyes == 0)):
        raise UndefinedMetricError(f"row {bad[0]}: the true eyes lie on one point, so there is nothing to normalise by")
    return ((p - t) ** 2).sum(axis=2), eyes
