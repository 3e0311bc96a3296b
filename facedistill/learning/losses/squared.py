"""‖·‖², which all Euclidean terms share."""

from __future__ import annotations

from torch import Tensor

from facedistill.learning.parameters import Reduction


def squared_distance(a: Tensor, b: Tensor, reduction: Reduction = "sum") -> Tensor:
    """‖a − b‖² of two (N, …) tensors, one value for each sample, (N,).

    reduction: whether the squares of a sample are summed or averaged.
    """
    squares = (a - b).square().flatten(1)
    return squares.sum(1) if reduction == "sum" else squares.mean(1)
