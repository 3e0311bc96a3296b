"""Identification among the people of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facedistill.evaluation.pairs import UndefinedMetricError

NONE = -1
"""The answer of logits that are not finite: argmax would take a network that diverged for one of a single answer."""


def answers(logits: ArrayLike) -> NDArray[np.int64]:
    """(n,) the class of the largest of (n, classes) logits, the lowest of equal ones; NONE where one is not finite."""
    a = np.asarray(logits)
    if a.ndim != 2:
        raise ValueError(f"expected (n, classes) logits, found {a.shape}")
    return np.where(np.isfinite(a).all(axis=1), a.argmax(axis=1), NONE)


def top1(answered: ArrayLike, labels: ArrayLike) -> float:
    """Percent of samples whose answer is their own identity.

    answered: (n,) as `answers` gives them. labels: (n,) int from 0.
    Raises UndefinedMetricError where there is no sample, and ValueError for shapes that disagree, a label below 0, and
    an answer NONE.
    """
    a, y = np.asarray(answered), np.asarray(labels)
    if a.ndim != 1 or y.shape != a.shape:
        raise ValueError(f"expected (n,) answers and (n,) labels, found {a.shape} and {y.shape}")
    if not len(a):
        raise UndefinedMetricError("no test photograph shows a person whom the network was trained on")
    if y.min() < 0:
        raise ValueError(f"labels run from {y.min()}")
    if len(bad := np.flatnonzero(a == NONE)):
        raise ValueError(f"the logits of sample {bad[0]} are not finite ({len(bad)} of {len(a)} samples)")
    return 100 * float(np.mean(a == y))
