"""What a teacher finds odd in a training set: wrong names, people under two names, photographs that are there twice.

It lists, and removes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from facedistill.learning.teachers.answers import Answers
from facedistill.learning.teachers.centres import class_sums, unit

Kind = Literal["fits another", "fits nobody", "two names", "twice"]

FAR = 0.1
"""A photograph is far from its own class centre if it is as far as nine in ten strangers are from it."""

NEAR = 1e-6
"""It is near another class centre if this share of strangers at most is as near to one."""

SAME = 0.08
"""Two class centres are of one person if their squared distance is below this share of the median one of strangers."""

TWINS = 0.02
"""Two photographs are one if their squared distance is below this share of it."""

BLOCK = 2048
"""How many photographs or classes are compared with all classes at a time."""

SAMPLE = 5000
"""The most photographs from which the limits are computed."""


@dataclass(frozen=True)
class Finding:
    """Something odd.

    kind: what it is.
    key: the photograph to leave out if the finding is right; of two names, one of the second.
    other: of twins, the photograph that stays; else empty.
    name: the name of the photograph.
    likely: the name that it should have; empty if it is near nobody.
    distance: the squared distance of normalised embeddings: to the own class centre, of two class centres, or of two
        photographs.
    """

    kind: Kind
    key: str
    other: str
    name: str
    likely: str
    distance: float


def findings(answers: Answers, keys: Sequence[str], labels: NDArray[np.int32], names: Sequence[str]) -> list[Finding]:
    """Everything odd, by its kind and then the oddest first. Photographs without a name are passed over.

    keys, labels: of each photograph; −1 for no name.
    names: of each class.
    """
    sums = class_sums(answers, labels, len(names))
    near, far, median = _limits(answers, labels, sums)
    found = [
        *_misplaced(answers, keys, labels, names, sums, near, far),
        *_two_names(labels, sums, keys, names, SAME * median),
        *_twice(answers, keys, labels, names, TWINS * median),
    ]
    order = get_args(Kind)
    far_first = order[:2]
    return sorted(found, key=lambda f: (order.index(f.kind), -f.distance if f.kind in far_first else f.distance))


def _limits(answers: Answers, labels: NDArray[np.int32], sums: NDArray[np.float64]) -> tuple[float, float, float]:
    """The distances NEAR and FAR of photographs from the class centres of strangers, and the median one."""
    known = np.flatnonzero(labels >= 0)
    rows = known[np.linspace(0, len(known) - 1, min(SAMPLE, len(known))).astype(int)]
    both = unit(answers[rows].astype(np.float64))
    distances = 2 - 2 * both[:, 0] @ unit(sums).T
    strangers = labels[rows][:, None] != np.arange(len(sums))
    far = float(np.quantile(distances[strangers], FAR))
    # A photograph with a wrong name is no stranger to its right one.
    right = 2 - 2 * (both[:, 0] * unit(sums[labels[rows]] - both.sum(1))).sum(1) < far
    near = float(np.quantile(distances[strangers & right[:, None]], NEAR))
    return near, far, float(np.median(distances[strangers]))


def _misplaced(
    answers: Answers,
    keys: Sequence[str],
    labels: NDArray[np.int32],
    names: Sequence[str],
    sums: NDArray[np.float64],
    near: float,
    far: float,
) -> Iterator[Finding]:
    """Yield the photographs that are far from their own class centre.

    The centre is computed without the photograph, so a person needs three: of two, each may be the wrong one.
    """
    centres, counts = unit(sums), np.bincount(labels[labels >= 0], minlength=len(sums))
    for rows, part in answers.parts():
        own = labels[rows]
        for i in np.flatnonzero((own >= 0) & (counts[own] > 2)):
            both = unit(part[i])
            distance = float(2 - 2 * both[0] @ unit(sums[own[i]] - both.sum(0)))
            if distance <= far:
                continue
            others = 2 - 2 * centres @ both[0]
            others[own[i]] = np.inf
            likely = names[int(others.argmin())] if others.min() < near else ""
            kind: Kind = "fits another" if likely else "fits nobody"
            yield Finding(kind, keys[rows.start + int(i)], "", names[own[i]], likely, distance)


def _two_names(
    labels: NDArray[np.int32], sums: NDArray[np.float64], keys: Sequence[str], names: Sequence[str], limit: float
) -> Iterator[Finding]:
    """Yield the pairs of classes whose centres are nearer than `limit`."""
    centres, first = unit(sums), dict(zip(labels[::-1].tolist(), range(len(labels) - 1, -1, -1), strict=True))
    for start in range(0, len(sums), BLOCK):
        distances = 2 - 2 * centres[start : start + BLOCK] @ centres.T
        for i, j in zip(*(axis.tolist() for axis in np.nonzero(distances < limit)), strict=True):
            if start + i < j:
                yield Finding("two names", keys[first[j]], "", names[j], names[start + i], float(distances[i, j]))


def _twice(
    answers: Answers, keys: Sequence[str], labels: NDArray[np.int32], names: Sequence[str], limit: float
) -> Iterator[Finding]:
    """Yield the photographs of a person that are nearly the same as an earlier one of that person."""
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        found = unit(answers[rows][:, 0].astype(np.float64))
        distances = np.maximum(0, 2 - 2 * found @ found.T)
        gone = set[int]()
        for i, j in combinations(range(len(rows)), 2):
            if distances[i, j] < limit and not {i, j} & gone:
                gone.add(j)
                name = names[labels[rows[j]]]
                yield Finding("twice", keys[rows[j]], keys[rows[i]], name, name, float(distances[i, j]))
