"""Ψ: distances and angles between the samples of a batch (RKD-DA).

Park et al. 2019, sections 3.2.1 and 3.2.2, https://arxiv.org/abs/1904.05068.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.losses.whole_batch import whole_batch
from facedistill.learning.networks import Outputs

ANGLE_WEIGHT = 2.0  # The value of Park et al.


@whole_batch
def rkd(student: Outputs, teacher: Outputs) -> Tensor:
    """The Huber loss (δ = 1) on distances between the K of samples, plus twice the Huber loss on angles; a scalar.

    The distances are divided by their mean over the batch, and compared over all pairs of distinct samples. The cosines
    of the angle ijk at j are compared over all triplets of distinct samples. The two widths may therefore differ.

    Memory grows with N³: one tensor takes 67 MB at 256 samples. Raises ValueError for fewer than three samples.
    """
    n = len(student.hidden)
    if n < 3:
        raise ValueError(f"rkd: a batch of {n} has no angles; it needs three samples")
    ours = _distances(student.hidden)
    with torch.no_grad():
        theirs = _distances(teacher.hidden)
    # Pairs and triplets with the same sample twice differ by 0, and the count leaves them out.
    distance = F.smooth_l1_loss(ours, theirs, reduction="sum") / (n * (n - 1))
    angle = F.smooth_l1_loss(_cosines(ours), _cosines(theirs), reduction="sum") / (n * (n - 1) * (n - 2))
    return distance + ANGLE_WEIGHT * angle


def _distances(hidden: Tensor) -> Tensor:
    """(N, width) to (N, N) distances, in units of their mean. Two equal samples have a gradient of 0."""
    # We subtract the vectors: |a|² + |b|² − 2ab loses close pairs to rounding.
    distances = torch.cdist(hidden, hidden, compute_mode="donot_use_mm_for_euclid_dist")
    n = len(hidden)
    return distances / (distances.sum() / (n * (n - 1))).clamp(min=torch.finfo(hidden.dtype).tiny)


def _cosines(d: Tensor) -> Tensor:
    """(N, N) distances to (N, N, N) cosines: [j, i, k] is that of the angle ijk at j, by the law of cosines.

    A cosine is 0 if sample i or k is at the same place as j.
    """
    squares = d.square()
    sides = 2 * d[:, :, None] * d[:, None, :]
    cosines = (squares[:, :, None] + squares[:, None, :] - squares[None]) / sides.where(sides > 0, 1)
    return cosines.where(sides > 0, 0)
