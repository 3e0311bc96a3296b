"""Ψ: the direction of the hidden layer, FeatureNorm (Fujitsu, ICIP 2018)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs


class Normalised(nn.Module):
    """‖P·K_S / |P·K_S| − K_T / |K_T|‖² = 2 − 2 cos, (N,), from 0 to 4 whatever the width: always summed.

    P as in Hidden.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.projector = nn.Linear(student_width, teacher_width)

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        return squared_distance(F.normalize(self.projector(student.hidden)), F.normalize(teacher.hidden.detach()))
