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

    The batch has two photographs of one identity and one of another, as every batch of `IdentityBatches` has. Without
    the first the loss is NaN. All shapes are those of the batch, so a GPU never waits for the host to count pairs.
    """
    unit = F.normalize(hidden, dim=1)
    distances = 2 - 2 * unit @ unit.T
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    # Of each anchor's negatives in order, the first one that is further than the positive. Infinity stands for none.
    negatives = distances.masked_fill(same, torch.inf).sort(dim=1).values
    further = negatives.gather(1, torch.searchsorted(negatives.detach(), distances.detach(), right=True))
    negative = torch.where(further < distances + margin, further, negatives[:, :1])
    return torch.where(positive, F.relu(distances - negative + margin), 0).sum() / positive.sum()
