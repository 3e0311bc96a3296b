"""μ: the weight of the teacher in each sample's loss.

It is the teacher weighting of the Fujitsu poster (Wang et al. 2018, https://doi.org/10.1109/ICIP.2018.8451808).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facedistill.learning.columns import ALL, Columns

# Added to H(y, P_S), in nats. Without it, a sample that both networks classify confidently has a w near 0/0, and one
# such sample could decide max(w).
EPSILON = 0.1


@torch.no_grad()
def teacher_weighting(
    logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    strength: float,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    columns: Columns = ALL,
) -> Tensor:
    """μ, (N,), from 1 − k to 1: with w = H(y, P_T) / (H(y, P_S) + ε), μ = 1 − k·w / max(w) if w > 1, else μ = 1.

    logits: (N, classes), of the student, with τ = 1 and without any margin.
    teacher_logits: (N, classes), in the same way.
    labels: (N,), y, numbered as the teacher's classes; −1 for a sample without a name, which has μ = 1.
    strength: k in (0, 1].
    gather: returns the w of all processes, so that max(w) is over the full batch.
    columns: the classes of both logits.

    The poster's formula is a = k/MIN, and it does not define MIN. Ours keeps its direction: a teacher that is surer of
    the label than the student has its full weight, and the sample with the largest w loses k of it. μ has no gradient.
    """
    # Where a label is ignored, the cross-entropy is 0, and so is w.
    w = columns.cross_entropy(teacher_logits, labels)
    w = w / (columns.cross_entropy(logits, labels) + EPSILON)
    return torch.where(w > 1, 1 - strength * (w / gather(w).max()), 1)
