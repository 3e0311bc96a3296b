"""Φ: the additive angular margin (ArcFace, Deng et al. 2019)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def arcface(logits: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Softmax loss, mean over the batch, with s·cos(θ_y + m) in place of the true class's s·cos θ_y.

    logits: (N, classes), s·cos θ. labels: (N,). scale: s. margin: m in radians, 0 to π/2. Past π, where cos(θ + m)
    would rise again, the target is cos θ − m·sin m, which lies lower and goes on falling.
    """
    cosine = logits.gather(1, labels[:, None]) / scale
    # The root has no slope at θ = 0 and π. Kept off 0 there, its gradient is finite, and cos in error above 1 no NaN.
    sine = (1 - cosine.square()).clamp(min=1e-6).sqrt()
    within = cosine > -math.cos(margin)
    target = torch.where(
        within, cosine * math.cos(margin) - sine * math.sin(margin), cosine - margin * math.sin(margin)
    )
    return F.cross_entropy(logits.scatter(1, labels[:, None], scale * target), labels)
