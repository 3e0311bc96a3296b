"""Φ: the additive cosine margin (CosFace; Wang et al. 2018, Equation 4, https://arxiv.org/abs/1801.09414)."""

from __future__ import annotations

from torch import Tensor

from facedistill.learning.columns import ALL, Columns


def cosface(logits: Tensor, labels: Tensor, scale: float, margin: float, columns: Columns = ALL) -> Tensor:
    """The softmax loss with s·(cos θ_y − m) in place of s·cos θ_y for the true class y: (N,).

    logits: (N, classes), s·cos θ.
    labels: (N,), the true classes.
    scale: s.
    margin: m, 0 to 1.
    columns: the classes of the logits.
    """
    return columns.cross_entropy(logits, labels, lambda true: true - scale * margin)
