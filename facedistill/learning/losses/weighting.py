"""μ: how far a sample's teacher is followed (teacher weighting; Fujitsu, ICIP 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# Nats that are added to H(y, P_S). Where both networks know the label well, w is near 0/0 without it: one such sample
# could decide max(w).
EPSILON = 0.1


@torch.no_grad()
def teacher_weighting(
    logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    strength: float,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> Tensor:
    """μ = 1 − k·w / max(w) where w = H(y, P_T) / (H(y, P_S) + ε) is over 1, else 1; (N,), from 1 − k to 1.

    logits, teacher_logits: (N, classes), of τ = 1 and without any margin. labels: (N,), of the teacher's classes.
    strength: k in (0, 1]. max: over the full batch: `gather` returns the w of all processes. The poster's a = k/MIN
    defines no MIN; this keeps its direction, a teacher that is surer than the student has its whole say, and the worst
    of a batch loses k of it. No gradient.
    """
    w = F.cross_entropy(teacher_logits, labels, reduction="none")
    w = w / (F.cross_entropy(logits, labels, reduction="none") + EPSILON)
    return torch.where(w > 1, 1 - strength * (w / gather(w).max()), 1)
