"""Φ: the additive angular margin (ArcFace; Deng et al. 2019, Equation 3, https://arxiv.org/abs/1801.07698)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def arcface(logits: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """The softmax loss with s·cos(θ_y + m) in place of s·cos θ_y for the true class y: (N,).

    logits: (N, classes), s·cos θ.
    labels: (N,), the true classes.
    scale: s.
    margin: m in radians, 0 to π/2.

    If θ + m exceeds π, cos(θ + m) would rise again. There the target is cos θ − m·sin m, which is lower and keeps
    falling.
    """
    cosine = logits.gather(1, labels[:, None]) / scale
    # The root has an infinite slope at θ = 0 and π. The clamp keeps its gradient finite there, and avoids NaN if a
    # rounded cosine is above 1.
    sine = (1 - cosine.square()).clamp(min=1e-6).sqrt()
    within = cosine > -math.cos(margin)
    target = torch.where(
        within, cosine * math.cos(margin) - sine * math.sin(margin), cosine - margin * math.sin(margin)
    )
    return F.cross_entropy(logits.scatter(1, labels[:, None], scale * target), labels, reduction="none")
