"""Ψ: correlations between the samples of a batch (CCKD; Peng et al. 2019, section 3.3, https://arxiv.org/abs/1904.01802)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.losses.whole_batch import whole_batch
from facedistill.learning.networks import Outputs

GAMMA = 0.4  # The value of Peng et al.


@whole_batch
def cckd(student: Outputs, teacher: Outputs) -> Tensor:
    """‖C_S − C_T‖² / N², a scalar, with C_ij = exp(−γ ‖K_i / |K_i| − K_j / |K_j|‖²). The two widths may differ.

    The paper uses the second-order Taylor polynomial of the Gaussian kernel; this is the kernel itself. They differ by
    0.05 at most.
    """
    return F.mse_loss(_correlations(student.hidden), _correlations(teacher.hidden.detach()))


def _correlations(hidden: Tensor) -> Tensor:
    unit = F.normalize(hidden)
    return (-GAMMA * (2 - 2 * unit @ unit.T)).exp()
