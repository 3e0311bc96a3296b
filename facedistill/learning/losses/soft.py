"""H: soft predictions (Hinton et al. 2014; Equations 1 and 2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """H(P_T^τ, P_S^τ) = −Σ softmax(a_T / τ) · log softmax(a_S / τ), one value a sample, (N,).

    logits, teacher_logits: (N, classes), without any margin. The factor τ² is not here: Equation5 multiplies by it if
    `equation.temperature_squared` in params.yaml is set. No gradient reaches the teacher.
    """
    target = F.softmax(teacher_logits.detach() / temperature, dim=1)
    return F.cross_entropy(logits / temperature, target, reduction="none")
