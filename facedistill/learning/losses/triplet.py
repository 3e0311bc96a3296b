"""Φ of verification: the triplet loss (FaceNet; Schroff et al. 2015, sections 3.1 and 3.2).

https://arxiv.org/abs/1503.03832. It is Equation 8 of Wang et al. 2017, https://arxiv.org/abs/1709.02929.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def triplet_loss(hidden: Tensor, labels: Tensor, margin: float) -> Tensor:
    """[‖K_a − K_p‖² − ‖K_a − K_n‖² + λ]₊ on L2-normalised K; the mean over all ordered (anchor, positive) pairs.

    hidden: (N, width), K.
    labels: (N,), the identities.
    margin: λ.

    Each pair takes one negative: the nearest semi-hard one (further than the positive, by less than the margin), or the
    nearest of all if none is semi-hard.

    Raises ValueError for a batch without a positive pair or without a negative.
    """
    unit = F.normalize(hidden, dim=1)
    distances = 2 - 2 * unit @ unit.T
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchor, other = positive.nonzero(as_tuple=True)
    if not len(anchor) or same.all():
        raise ValueError("a triplet batch needs two photographs of one identity and one of another")
    d_positive = distances[anchor, other]
    d_negatives = distances[anchor].masked_fill(same[anchor], torch.inf)
    semi_hard = (d_negatives > d_positive[:, None]) & (d_negatives < d_positive[:, None] + margin)
    nearest_semi_hard = d_negatives.masked_fill(~semi_hard, torch.inf).amin(1)
    d_negative = torch.where(nearest_semi_hard.isfinite(), nearest_semi_hard, d_negatives.amin(1))
    return F.relu(d_positive - d_negative + margin).mean()
