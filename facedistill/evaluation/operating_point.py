"""True positive rate (TPR) at a false accept rate (FAR), over all pairs of photographs or the pairs of a protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from facedistill.evaluation.cosine import blocks, unit_rows
from facedistill.evaluation.false_accepts import accepted, pairs_of_all
from facedistill.evaluation.pairs import UndefinedMetricError


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, and what it accepts.

    tpr: the percentage of genuine pairs that are accepted.
    threshold: a pair is accepted if its cosine is above it.
    positives: the number of genuine pairs (both photographs show one person).
    negatives: the number of impostor pairs (the photographs show two people).
    """

    tpr: float
    threshold: float
    positives: int
    negatives: int


def tpr_at_far(embeddings: Tensor, identities: ArrayLike, far: float = 1e-3) -> OperatingPoint:
    """Return the highest TPR at which no more than a share `far` of the impostor pairs is accepted.

    It compares all n(n − 1)/2 pairs. For a subset, pass its rows only: the threshold then depends on its own impostors.

    The result is exact. Each cosine is computed in float64 and compared as float32, so duplicates tie, and all or none
    of a tie are accepted. Memory: some blocks of cosines, the genuine pairs, and a share `far` of the impostor pairs.

    embeddings: (n, d) on any device, compared by cosine.
    identities: (n,) of any type that can be sorted.
    far: the false accept rate, a share in 0..1.

    Raises TooFewNegatives, UndefinedMetricError if nobody has two photographs, and ValueError for shapes that disagree,
    a FAR outside 0..1, and an embedding that is zero or not finite.
    """
    names = np.asarray(identities)
    if names.shape != embeddings.shape[:1]:
        raise ValueError(
            f"expected (n, d) embeddings and (n,) identities, found {tuple(embeddings.shape)} and {names.shape}"
        )
    unit = unit_rows(embeddings)
    n = len(unit)
    numbers, counts = np.unique(names, return_inverse=True, return_counts=True)[1:]
    positives, negatives = pairs_of_all(counts.tolist())
    if not positives:
        raise UndefinedMetricError(f"{n} photographs of {n} people: nobody has two, so there is no positive pair")
    most = accepted(far, negatives)

    person = torch.from_numpy(numbers).to(unit.device)
    genuine, impostor, floor = [], unit.new_empty(0, dtype=torch.float32), -2.0
    for block in blocks(n, n):
        cosines = (unit[block] @ unit[block.start :].T).float()
        once = torch.ones_like(cosines, dtype=torch.bool).triu_(1)
        same = person[block, None] == person[block.start :]
        genuine.append(cosines[once & same])
        # The threshold is the cosine of the first impostor that must stay out. `most` impostors are above it, so we
        # keep `most` + 1 of them.
        impostor = torch.cat([impostor, cosines[once & ~same & (cosines > floor)]])
        if len(impostor) > most:
            impostor = impostor.topk(most + 1, sorted=False).values
            floor = float(impostor.min())
    tpr = 100 * float((torch.cat(genuine) > floor).double().mean())
    return OperatingPoint(tpr, floor, positives, negatives)


def tpr_of_pairs(cosines: ArrayLike, same: ArrayLike, far: float) -> OperatingPoint:
    """Return the same as `tpr_at_far` over given pairs only, for sets whose identities are unknown.

    cosines: (n,) in −1..1.
    same: (n,) bool, whether a pair is genuine.
    far: the false accept rate, a share in 0..1.

    Raises TooFewNegatives, UndefinedMetricError if no pair is genuine, and ValueError for shapes that disagree and a
    FAR outside 0..1.
    """
    values, genuine = np.asarray(cosines, np.float32), np.asarray(same)
    if values.ndim != 1 or genuine.shape != values.shape or genuine.dtype != np.bool_:
        raise ValueError(
            f"expected (n,) cosines and (n,) bool, found {values.shape} and {genuine.shape} of {genuine.dtype}"
        )
    positives = int(genuine.sum())
    if not positives:
        raise UndefinedMetricError(f"none of {len(genuine)} pairs is of one person")
    negatives = len(genuine) - positives
    first_out = -1 - accepted(far, negatives)
    threshold = float(np.sort(values[~genuine])[first_out])
    return OperatingPoint(100 * float(np.mean(values[genuine] > threshold)), threshold, positives, negatives)
