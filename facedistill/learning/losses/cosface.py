"""Φ: the additive cosine margin (CosFace, Wang et al. 2018)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cosface(logits: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Softmax loss, mean over the batch, with s·(cos θ_y − m) in place of the true class's s·cos θ_y.

    logits: (N, classes), s·cos θ. labels: (N,). scale: s. margin: m, 0 to 1.
    """
    target = logits.gather(1, labels[:, None]) - scale * margin
    return F.cross_entropy(logits.scatter(1, labels[:, None], target), labels)
