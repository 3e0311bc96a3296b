"""Class centres of a teacher that has no classifier, and the scale of their logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from facedistill.learning.teachers.answers import Answers

SCALES = (1.0, 1024.0)
"""The least and the greatest scale that is fitted."""


def deviation(answers: Answers) -> float:
    """The root of the variance of all answers, averaged over their dimensions."""
    # The variance is the same around any point near the mean, and a sum of squares around 0 would lose digits.
    first = answers[np.zeros(1, np.int64)][0, 0].astype(np.float64)
    count, total, squares = 2 * len(answers), np.zeros(answers.width), np.zeros(answers.width)
    for _, part in answers.parts():
        total += (part - first).sum((0, 1))
        squares += np.square(part - first).sum((0, 1))
    return float(np.sqrt((squares / count - np.square(total / count)).mean()))


def class_sums(answers: Answers, labels: NDArray[np.int32], classes: int) -> NDArray[np.float64]:
    """(classes, width): the sum of the normalised answers of each class, photographs and mirror images alike.

    The direction of a sum is the class centre. Its length serves to take one photograph out again.

    labels: (n,); crops with −1 belong to no class.
    """
    sums = np.zeros((classes, answers.width))
    for rows, part in answers.parts():
        known = labels[rows] >= 0
        np.add.at(sums, labels[rows][known], unit(part[known]).sum(1))
    return sums


def fitted_scale(answers: Answers, labels: NDArray[np.int32], sums: NDArray[np.float64], most: int) -> float:
    """The scale s with the least mean cross-entropy of s · cos θ, on photographs that their centres have not seen.

    Each photograph is compared with the other class centres, and with the centre of its own class without itself. So no
    photograph has to be set aside, and none is judged by itself. People with one photograph have no such centre; their
    photographs are left out.

    sums: of `class_sums`.
    most: at most so many photographs are compared, in equal steps through the set.

    Raises ValueError if no person has two photographs.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(sums))
    able = np.flatnonzero((labels >= 0) & (counts[labels] > 1))
    if not len(able):
        raise ValueError("no person has two photographs, so the scale cannot be fitted; set teacher.scale")
    rows = able[np.linspace(0, len(able) - 1, min(most, len(able))).astype(int)]
    own = np.take(labels, rows)
    both = unit(answers[rows].astype(np.float64))
    photographs = both[:, 0]
    cosines = photographs @ unit(sums).T
    without = unit(sums[own] - both.sum(1))
    cosines[np.arange(len(rows)), own] = (photographs * without).sum(1)

    def loss(scale: float) -> float:
        logits = scale * (cosines - cosines.max(1, keepdims=True))
        return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(rows)), own]).mean())

    # The loss is convex in s, so its minimum is the only one.
    return float(minimize_scalar(loss, bounds=SCALES, method="bounded").x)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors along the last axis, at length 1. A vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))
