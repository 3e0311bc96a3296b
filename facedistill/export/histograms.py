"""Counts how far apart the pairs of a set are, so that a distance can be judged beside them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from facedistill.crops.shards import Crops
from facedistill.evaluation.cosine import blocks, unit_rows
from facedistill.evaluation.pairs import embedding_distances
from facedistill.inference.metadata import BINS, FARTHEST, Histograms


def histograms(embeddings: NDArray[np.float32], crops: Crops) -> Histograms:
    """The histograms of the pairs on which a threshold is chosen: all pairs of the photographs, if everybody's name is
    known, and else the pairs that the set lists.

    embeddings: (n, d), of all crops.

    Raises ValueError for an embedding that is zero or not finite.
    """
    if not all(crops.identities):
        pairs = crops.pairs
        distances = embedding_distances(embeddings, pairs.a, pairs.b)
        return _histograms(_counts(distances[pairs.same]), _counts(distances[~pairs.same]))
    unit = unit_rows(torch.from_numpy(embeddings)).numpy()
    person = np.unique(crops.identities, return_inverse=True)[1]
    n = len(unit)
    genuine, every = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for block in blocks(n, n):
        distances = 2 - 2 * unit[block] @ unit[block.start :].T
        once = np.triu(np.ones(distances.shape, np.bool_), 1)
        genuine += _counts(distances[once & (person[block, None] == person[block.start :])])
        every += _counts(distances[once])
    return _histograms(genuine, every - genuine)


def _histograms(genuine: NDArray[np.int64], impostor: NDArray[np.int64]) -> Histograms:
    return Histograms(tuple(genuine.tolist()), tuple(impostor.tolist()))


def _counts(distances: NDArray[np.float64]) -> NDArray[np.int64]:
    # Rounding may put a distance just outside.
    return np.histogram(np.clip(distances, 0, FARTHEST), BINS, (0, FARTHEST))[0]
