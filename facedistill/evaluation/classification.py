"""Identification among the people of the training set."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from facedistill.evaluation.pairs import UndefinedMetricError

NONE = -1
"""The answer for logits that are not finite. With argmax alone, a diverged network would give one answer to all."""


def answers(logits: Tensor) -> Tensor:
    """Return (n,), the class of the largest logit of each row of (n, classes); of equal logits the first class.

    The answer is NONE if a logit of the row is not finite. It is computed on the device of the logits. Raises
    ValueError for another shape.
    """
    if logits.ndim != 2:
        raise ValueError(f"expected (n, classes) logits, found {tuple(logits.shape)}")
    return torch.where(logits.isfinite().all(1), logits.argmax(1), NONE)


def top1(answered: ArrayLike, labels: ArrayLike) -> float:
    """Return the percentage of samples whose answer is their own identity.

    answered: (n,), as `answers` returns them.
    labels: (n,) int from 0.

    Raises UndefinedMetricError if there is no sample, and ValueError for shapes that disagree, a label below 0, and an
    answer NONE.
    """
    a, y = np.asarray(answered), np.asarray(labels)
    if a.ndim != 1 or y.shape != a.shape:
        raise ValueError(f"expected (n,) answers and (n,) labels, found {a.shape} and {y.shape}")
    if not len(a):
        raise UndefinedMetricError("no test photograph shows a person whom the network was trained on")
    if y.min() < 0:
        raise ValueError(f"labels start from 0, found {y.min()}")
    if len(bad := np.flatnonzero(a == NONE)):
        raise ValueError(f"the logits of sample {bad[0]} are not finite ({len(bad)} of {len(a)} samples)")
    return 100 * float(np.mean(a == y))
