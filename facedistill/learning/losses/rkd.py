"""Ψ: relations between the samples of a batch, RKD-DA (Park et al. 2019, sections 3.2.1 and 3.2.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.losses.whole_batch import whole_batch
from facedistill.learning.networks import Outputs

ANGLE_WEIGHT = 2.0  # of Park et al.


@whole_batch
def rkd(student: Outputs, teacher: Outputs) -> Tensor:
    """Huber loss (δ = 1) of the distances between K, plus twice that of the angles between them; a scalar.

    Distances are divided by their mean over the batch and compared over all pairs of distinct samples, the cosines of
    the angle ijk at j over all triplets of distinct samples: nothing here depends on the widths.

    Memory grows with N³: 67 MB a tensor at 256 samples. Raises ValueError for fewer than three samples.
    """
    n = len(student.hidden)
    if n < 3:
        raise ValueError(f"rkd: a batch of {n} has no angles; it needs three samples")
    ours = _distances(student.hidden)
    with torch.no_grad():
        theirs = _distances(teacher.hidden)
    # Pairs and triplets that are not distinct differ by 0, and are left out of the count.
    distance = F.smooth_l1_loss(ours, theirs, reduction="sum") / (n * (n - 1))
    angle = F.smooth_l1_loss(_cosines(ours), _cosines(theirs), reduction="sum") / (n * (n - 1) * (n - 2))
    return distance + ANGLE_WEIGHT * angle


def _distances(hidden: Tensor) -> Tensor:
    """(N, width) to (N, N), in units of their mean. Equal samples have no direction, and so a gradient of 0."""
    # By subtraction: |a|² + |b|² − 2ab loses close pairs to rounding.
    distances = torch.cdist(hidden, hidden, compute_mode="donot_use_mm_for_euclid_dist")
    n = len(hidden)
    return distances / (distances.sum() / (n * (n - 1))).clamp(min=torch.finfo(hidden.dtype).tiny)


def _cosines(d: Tensor) -> Tensor:
    """(N, N) distances to (N, N, N): [j, i, k] is the cosine of the angle ijk at j, by the law of cosines.

    0 where i or k is at j.
    """
    squares = d.square()
    sides = 2 * d[:, :, None] * d[:, None, :]
    cosines = (squares[:, :, None] + squares[:, None, :] - squares[None]) / sides.where(sides > 0, 1)
    return cosines.where(sides > 0, 0)
