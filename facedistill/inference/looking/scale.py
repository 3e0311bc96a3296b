"""The part of the scale of distances that is shown, with both histograms in bins that are wide enough to see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from facedistill.inference.metadata import BINS, FARTHEST, Histograms

MOST = 100
"""The most bins that are shown."""


@dataclass(frozen=True)
class Scale:
    """A scale from 0 to `end`.

    genuine, impostor: the percentage of the pairs of each kind in each bin. All bins are of one width.
    """

    end: float
    genuine: tuple[float, ...]
    impostor: tuple[float, ...]


def scale(histograms: Histograms, distances: Iterable[float]) -> Scale:
    """The scale that has room for all pairs of the histograms and for these distances, 0 to FARTHEST."""
    counts = [histograms.genuine, histograms.impostor]
    last = int(np.flatnonzero(np.sum(counts, axis=0)).max()) + 1
    # A mark at the very edge would be cut in half.
    most = min(BINS, max([last, *(ceil(1.02 * distance * BINS / FARTHEST) for distance in distances)]))
    wide = ceil(most / MOST)
    bins = ceil(most / wide)
    return Scale(bins * wide * FARTHEST / BINS, *(_percent(kind, wide, bins) for kind in counts))


def _percent(counts: Sequence[int], wide: int, bins: int) -> tuple[float, ...]:
    sums = np.array(counts[: bins * wide]).reshape(bins, wide).sum(1)
    return tuple((100 * sums / sums.sum()).tolist())
