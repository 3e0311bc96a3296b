"""H: soft predictions (Hinton et al. 2015, section 2, https://arxiv.org/abs/1503.02531).

They are Equations 1 and 2 of Wang et al. 2017, https://arxiv.org/abs/1709.02929.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """H(P_T^τ, P_S^τ) = −Σ softmax(a_T / τ) · log softmax(a_S / τ), one value for each sample, (N,).

    logits: (N, classes), a_S without any margin.
    teacher_logits: (N, classes), a_T without any margin. No gradient reaches them.
    temperature: τ.

    The factor τ² is not here: Equation5 multiplies by it if
    `equation.temperature_squared` in params.yaml is set.
    """
    target = F.softmax(teacher_logits.detach() / temperature, dim=1)
    return F.cross_entropy(logits / temperature, target, reduction="none")
