"""‖·‖², the one reduction that the Euclidean terms share."""

from __future__ import annotations

from torch import Tensor

from facedistill.learning.parameters import Reduction


def squared_distance(a: Tensor, b: Tensor, reduction: Reduction = "sum") -> Tensor:
    """‖a − b‖² of (N, …) tensors, one value a sample, (N,): the dimensions summed or, for `mean`, averaged."""
    squares = (a - b).square().flatten(1)
    return squares.sum(1) if reduction == "sum" else squares.mean(1)
