"""Counts how far apart the pairs of a set are, so that a distance can be judged beside them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from facedistill.crops.shards import Crops
from facedistill.evaluation.cosine import blocks, unit_rows
from facedistill.evaluation.pairs import embedding_distances
from facedistill.inference import thresholds
from facedistill.inference.metadata import BINS, Histograms


def judged(embeddings: NDArray[np.float32], crops: Crops, limit: float) -> tuple[Histograms, tuple[float, float]]:
    """The histograms of the pairs on which a threshold is chosen, and the interval of its false accept rate.

    These are all pairs of the photographs, if everybody's name is known, and else the pairs that the set lists.

    embeddings: (n, d), of all crops.
    limit: a pair is accepted if its squared distance is below this.

    Raises ValueError for an embedding that is zero or not finite.
    """
    if not all(crops.identities):
        pairs, n = crops.pairs, len(embeddings)
        distances = embedding_distances(embeddings, pairs.a, pairs.b)
        known = thresholds.histograms(*(thresholds.counts(distances[kind]) for kind in (pairs.same, ~pairs.same)))
        members, near = np.stack([pairs.a, pairs.b])[:, ~pairs.same], distances[~pairs.same] < limit
        passed, each = (np.bincount(some.ravel(), minlength=n) for some in (members[:, near], members))
        return known, thresholds.far_interval(passed, each)
    unit = unit_rows(torch.from_numpy(embeddings)).numpy()
    person, photographs = np.unique(crops.identities, return_inverse=True, return_counts=True)[1:]
    n = len(unit)
    genuine, every, passed = (np.zeros(length, np.int64) for length in (BINS, BINS, len(photographs)))
    for block in blocks(n, n):
        distances = 2 - 2 * unit[block] @ unit[block.start :].T
        once = np.triu(np.ones(distances.shape, np.bool_), 1)
        same = person[block, None] == person[block.start :]
        genuine += thresholds.counts(distances[once & same])
        every += thresholds.counts(distances[once])
        for places in np.nonzero(once & ~same & (distances < limit)):
            np.add.at(passed, person[block.start + places], 1)
    interval = thresholds.far_interval(passed, photographs * (n - photographs))
    return thresholds.histograms(genuine, every - genuine), interval
