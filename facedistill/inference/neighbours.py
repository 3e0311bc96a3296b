"""The nearest rows of a gallery: by a product over all rows, or by an index of FAISS. Both give the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Index = Literal["exact", "faiss"]

FIRST = 256
"""How many rows are compared in float64 at first. Each further time there are eight times as many."""

BLOCK = 2**14
"""The number of rows of which copies are in memory at a time."""

_Candidates = Callable[[int], NDArray[np.int64]]
"""Takes a number, and gives so many rows: those with the highest scores in float32, in any order."""


class Neighbours:
    """(n, d) float32 rows, none of them zero, that can be searched. They are kept without a copy.

    index: exact, or faiss, whose IndexFlatIP holds a copy of the rows. Raises ModuleNotFoundError without faiss-cpu.
    """

    def __init__(self, rows: NDArray[np.float32], index: Index = "exact") -> None:
        self._rows = rows
        # Each product of d numbers in float32 errs by d·2⁻²⁴ at most (Higham, Accuracy and Stability of Numerical
        # Algorithms, section 3.1), a distance by twice that. Two are compared, each with one of another row.
        self._error = 8 * (rows.shape[1] + 8) * 2.0**-24
        self._search = _by_faiss(rows) if index == "faiss" else _by_product(rows)

    def nearest(self, probe: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """Every row and its squared Euclidean distance from a (d,) probe, 0..4, once both have length 1.

        The nearest comes first, and of two at one distance the first row. Distances are computed in float64. A row is
        only compared in float64 once the caller has come near it, so the first rows of a million cost little.
        """
        unit = probe.astype(np.float64) / np.linalg.norm(probe.astype(np.float64))
        candidates, count, done, most = self._search(unit.astype(np.float32)), len(self._rows), 0, FIRST
        while done < count:
            most = min(most, count)
            rows = candidates(most)
            distances = np.concatenate(
                [_distances(unit, self._rows[rows[start : start + BLOCK]]) for start in range(0, most, BLOCK)]
            )
            order = np.lexsort((rows, distances))
            # A row that is no candidate may still be nearer than the last ones, by the error of its score.
            limit = np.inf if most == count else distances.max() - self._error
            sure = int(np.searchsorted(distances[order], limit))
            yield from zip(rows[order[done:sure]].tolist(), distances[order[done:sure]].tolist(), strict=True)
            done, most = max(done, sure), 8 * most


def _by_product(rows: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], _Candidates]:
    lengths = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        lengths[start : start + BLOCK] = np.linalg.norm(rows[start : start + BLOCK], axis=1)

    def search(probe: NDArray[np.float32]) -> _Candidates:
        scores = rows @ probe / lengths
        return lambda most: np.argpartition(scores, len(scores) - most)[len(scores) - most :]

    return search


def _by_faiss(rows: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], _Candidates]:
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        index.add(block / np.linalg.norm(block, axis=1, keepdims=True))

    def search(probe: NDArray[np.float32]) -> _Candidates:
        return lambda most: np.asarray(index.search(probe[None], most)[1][0], np.int64)

    return search


def _distances(unit: NDArray[np.float64], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each row is summed by itself, so that equal rows have equal distances. A product by BLAS does not promise it."""
    wide = rows.astype(np.float64)
    cosines = (wide * unit).sum(1) / np.sqrt((wide * wide).sum(1))
    found: NDArray[np.float64] = np.clip(2 - 2 * cosines, 0, 4)
    return found
