"""H: soft predictions (Hinton et al. 2015, section 2, https://arxiv.org/abs/1503.02531).

They are Equations 1 and 2 of Wang et al. 2017, https://arxiv.org/abs/1709.02929.
"""

from __future__ import annotations

from torch import Tensor

from facedistill.learning.columns import ALL, Columns


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float, columns: Columns = ALL) -> Tensor:
    """H(P_T^τ, P_S^τ) = −Σ softmax(a_T / τ) · log softmax(a_S / τ), one value for each sample, (N,).

    logits: (N, classes), a_S without any margin.
    teacher_logits: (N, classes), a_T without any margin. No gradient reaches them.
    temperature: τ.
    columns: the classes of both logits.

    The factor τ² is not here: Equation5 multiplies by it if
    `equation.temperature_squared` in params.yaml is set.
    """
    target = columns.softmax(teacher_logits.detach() / temperature)
    return -columns.over_all((columns.log_softmax(logits / temperature) * target).sum(1))
