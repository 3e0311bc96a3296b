"""Ψ: the direction of the hidden layer.

It is the FeatureNorm of the Fujitsu poster (Wang et al. 2018, https://doi.org/10.1109/ICIP.2018.8451808).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs


class Normalised(nn.Module):
    """‖P·K_S / |P·K_S| − K_T / |K_T|‖² = 2 − 2 cos, (N,), with the projector P as in Hidden.

    The squares are always summed: the sum is between 0 and 4 at any width.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.projector = nn.Linear(student_width, teacher_width)

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        return squared_distance(F.normalize(self.projector(student.hidden)), F.normalize(teacher.hidden.detach()))
