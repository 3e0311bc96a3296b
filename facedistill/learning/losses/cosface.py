"""Φ: the additive cosine margin (CosFace; Wang et al. 2018, Equation 4, https://arxiv.org/abs/1801.09414)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cosface(logits: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """The softmax loss with s·(cos θ_y − m) in place of s·cos θ_y for the true class y: (N,).

    logits: (N, classes), s·cos θ.
    labels: (N,), the true classes.
    scale: s.
    margin: m, 0 to 1.
    """
    target = logits.gather(1, labels[:, None]) - scale * margin
    return F.cross_entropy(logits.scatter(1, labels[:, None], target), labels, reduction="none")
