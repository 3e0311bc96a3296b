"""True positive rate at a false accept rate, over all pairs of a set of photographs or over the pairs of a protocol."""

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
    """tpr: percent of the pairs of one person that are accepted.

    threshold: a pair is accepted where its cosine is above. positives, negatives: pairs of one person and of two.
    """

    tpr: float
    threshold: float
    positives: int
    negatives: int


def tpr_at_far(embeddings: Tensor, identities: ArrayLike, far: float = 1e-3) -> OperatingPoint:
    """The highest TPR at which no more than `far` of the pairs of two people are accepted, over all n(n − 1)/2 pairs.

    embeddings: (n, d) on any device, compared by cosine. identities: (n,) of any kind that can be sorted. For a subset
    pass its rows alone: the threshold is then set on the subset's own negatives.
    Exact: every cosine is computed in float64 and compared as float32, so that duplicates tie, and of a tie all or none
    are accepted. Memory: some blocks of cosines, the positives, and a share `far` of the negatives.
    Raises TooFewNegatives, UndefinedMetricError where nobody has two photographs, and ValueError for shapes that
    disagree, a FAR outside 0..1, and an embedding that is zero or not finite.
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
        # The first impostor that must stay out has `most` above it: what lies below so many is never needed.
        impostor = torch.cat([impostor, cosines[once & ~same & (cosines > floor)]])
        if len(impostor) > most:
            impostor = impostor.topk(most + 1, sorted=False).values
            floor = float(impostor.min())
    tpr = 100 * float((torch.cat(genuine) > floor).double().mean())
    return OperatingPoint(tpr, floor, positives, negatives)


def tpr_of_pairs(cosines: ArrayLike, same: ArrayLike, far: float) -> OperatingPoint:
    """The same over given pairs alone, where nobody knows whom photographs of two pairs show.

    cosines: (n,) in −1..1. same: (n,) bool. Raises TooFewNegatives, UndefinedMetricError where no pair is of one
    person, and ValueError for shapes that disagree and a FAR outside 0..1.
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
