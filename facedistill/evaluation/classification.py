"""Identification among the people of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def top1(logits: ArrayLike, labels: ArrayLike) -> float:
    """Percent of samples whose largest logit is their own identity's; of equal logits the lowest class wins.

    logits: (n, classes). labels: (n,) int in 0..classes-1.
    Raises ValueError for shapes that disagree, a label out of range, and logits that are not finite: argmax would
    take a network that diverged for one that always answers the same.
    """
    a, y = np.asarray(logits), np.asarray(labels)
    if a.ndim != 2 or y.shape != (len(a),) or not len(a):
        raise ValueError(f"expected (n, classes) logits and (n,) labels, found {a.shape} and {y.shape}")
    if y.min() < 0 or y.max() >= a.shape[1]:
        raise ValueError(f"labels run from {y.min()} to {y.max()}, the logits have {a.shape[1]} classes")
    if len(bad := np.flatnonzero(~np.isfinite(a).all(axis=1))):
        raise ValueError(f"the logits of sample {bad[0]} are not finite ({len(bad)} of {len(a)} samples)")
    return 100 * float(np.mean(a.argmax(axis=1) == y))
