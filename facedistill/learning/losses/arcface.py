"""Φ: the additive angular margin (ArcFace; Deng et al. 2019, Equation 3, https://arxiv.org/abs/1801.07698)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facedistill.learning.columns import ALL, Columns


def arcface(logits: Tensor, labels: Tensor, scale: float, margin: float, columns: Columns = ALL) -> Tensor:
    """The softmax loss with s·cos(θ_y + m) in place of s·cos θ_y for the true class y: (N,).

    logits: (N, classes), s·cos θ.
    labels: (N,), the true classes.
    scale: s.
    margin: m in radians, 0 to π/2.
    columns: the classes of the logits.

    If θ + m exceeds π, cos(θ + m) would rise again. There the target is cos θ − m·sin m, which is lower and keeps
    falling.
    """

    def target(true: Tensor) -> Tensor:
        cosine = true / scale
        # The root has an infinite slope at θ = 0 and π. The clamp keeps its gradient finite there, and avoids NaN if a
        # rounded cosine is above 1.
        sine = (1 - cosine.square()).clamp(min=1e-6).sqrt()
        within = cosine > -math.cos(margin)
        return scale * torch.where(
            within, cosine * math.cos(margin) - sine * math.sin(margin), cosine - margin * math.sin(margin)
        )

    return columns.cross_entropy(logits, labels, target)
