"""Verification of pairs: LFW's View 2, and the ROC curve.

View 2 is the protocol of LFW (Huang et al. 2007, https://vis-www.cs.umass.edu/lfw/).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


class UndefinedMetricError(ValueError):
    """The photographs or pairs do not define a metric, for any model."""


@dataclass(frozen=True)
class View2:
    """The result of LFW's View 2. All numbers except the thresholds are in percent.

    accuracy: the mean over the folds.
    standard_error: fold_std / sqrt(number of folds), as LFW's own result pages print it.
    fold_std: the standard deviation between the folds (ddof=1).
    fold_accuracies: one for each fold, in the order of the fold numbers.
    thresholds: in the same way.
    """

    accuracy: float
    standard_error: float
    fold_std: float
    fold_accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]


def view2(distances: ArrayLike, same: ArrayLike, folds: ArrayLike) -> View2:
    """Return the accuracy if each fold is judged by the threshold that is best on all other folds (LFW has ten).

    A pair is accepted as one person if distance <= threshold. Candidates are the midpoints between neighbouring
    distances and one threshold beyond each end. Of equally accurate candidates the lowest is taken, because it has the
    fewest false accepts.

    distances: (n,), any dissimilarity.
    same: (n,) bool, whether a pair is genuine.
    folds: (n,) int, consecutive numbers.

    Raises UndefinedMetricError for a fold without pairs, for fewer than two folds, and if all pairs outside a fold are
    genuine or all are impostors. Raises ValueError for a distance that is not finite.
    """
    d, s = _checked(distances, same)
    f = np.asarray(folds)
    if f.shape != d.shape or not np.issubdtype(f.dtype, np.integer):
        raise ValueError(f"folds: expected {d.shape} integers, found {f.shape} of {f.dtype}")
    numbers = np.arange(f.min(), f.max() + 1)
    if empty := sorted(set(numbers.tolist()) - set(f.tolist())):
        raise UndefinedMetricError(f"fold {empty[0]} has no pairs; folds run from {numbers[0]} to {numbers[-1]}")
    if len(numbers) < 2:
        raise UndefinedMetricError("one fold only: the threshold of a fold is chosen on the others")
    thresholds, accuracies = [], []
    for number in numbers:
        held_out = f == number
        if len(np.unique(s[~held_out])) < 2:
            raise UndefinedMetricError(
                f"the pairs outside fold {number} all show one person, or all show two: no threshold can be chosen"
            )
        threshold = _best_threshold(d[~held_out], s[~held_out])
        thresholds.append(threshold)
        accuracies.append(100 * float(np.mean((d[held_out] <= threshold) == s[held_out])))
    std = float(np.std(accuracies, ddof=1))
    return View2(float(np.mean(accuracies)), std / len(numbers) ** 0.5, std, tuple(accuracies), tuple(thresholds))


def roc(distances: ArrayLike, same: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (far, tpr, thresholds): the shares in 0..1 of impostor and genuine pairs with distance <= threshold.

    All three rise from (0, 0, below every distance) to (1, 1, above every distance), one point per distinct distance.
    Raises ValueError for a distance that is not finite, and if all pairs are genuine or all are impostors.
    """
    d, s = _checked(distances, same)
    thresholds, genuine, impostor = _accepted(d, s)
    if not genuine[-1] or not impostor[-1]:
        raise ValueError(f"a ROC needs pairs of both classes, found {genuine[-1]} same and {impostor[-1]} different")
    return impostor / impostor[-1], genuine / genuine[-1], thresholds


def embedding_distances(embeddings: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the squared Euclidean distances of L2-normalised embeddings, (n,) in 0..4; they equal 2 − 2 cos.

    embeddings: (m, d).
    a, b: (n,), the rows of the two photographs of each pair.

    Raises ValueError, which names the row, if a row is zero or not finite.
    """
    e = np.asarray(embeddings, dtype=np.float64)
    norms = np.linalg.norm(e, axis=1, keepdims=True)
    if len(bad := np.flatnonzero(~np.isfinite(norms) | (norms == 0))):
        raise ValueError(f"embedding {bad[0]} has norm {norms[bad[0], 0]}: it has no direction")
    e = e / norms
    squared: NDArray[np.float64] = ((e[np.asarray(a)] - e[np.asarray(b)]) ** 2).sum(axis=1)
    return squared


def _checked(distances: ArrayLike, same: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    d, s = np.asarray(distances, dtype=np.float64), np.asarray(same)
    if d.ndim != 1 or s.shape != d.shape or s.dtype != np.bool_ or not len(d):
        raise ValueError(f"expected (n,) distances and (n,) bool, found {d.shape} and {s.shape} of {s.dtype}")
    if len(bad := np.flatnonzero(~np.isfinite(d))):
        raise ValueError(f"the distance of pair {bad[0]} is {d[bad[0]]} ({len(bad)} of {len(d)} are not finite)")
    return d, s


def _accepted(
    d: NDArray[np.float64], s: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return rising thresholds that separate all distinct distances, and the genuine and impostor pairs below each."""
    distinct, index = np.unique(d, return_inverse=True)
    genuine = np.bincount(index, weights=s, minlength=len(distinct)).cumsum().astype(np.int64)
    total = np.bincount(index, minlength=len(distinct)).cumsum()
    padded = np.concatenate([distinct[:1] - 1, distinct, distinct[-1:] + 1])
    return (padded[:-1] + padded[1:]) / 2, np.append(0, genuine), np.append(0, total - genuine)


def _best_threshold(d: NDArray[np.float64], s: NDArray[np.bool_]) -> float:
    thresholds, genuine, impostor = _accepted(d, s)
    return float(thresholds[np.argmax(genuine - impostor)])  # right answers minus a constant, the number of impostors
