"""Ψ: the hidden layer (Wang et al. 2017, Equation 7, https://arxiv.org/abs/1709.02929).

The idea is Luo et al.'s (2016), https://repository.hku.hk/handle/10722/273581.
"""

from __future__ import annotations

from torch import Tensor, nn

from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs
from facedistill.learning.parameters import Reduction


class Hidden(nn.Module):
    """‖P·K_S − K_T‖², (N,).

    The linear projector P maps K_S to the width of K_T. It is trained with the student and not saved.
    """

    def __init__(self, student_width: int, teacher_width: int, reduction: Reduction) -> None:
        super().__init__()
        self.projector = nn.Linear(student_width, teacher_width)
        self.reduction = reduction

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        return squared_distance(self.projector(student.hidden), teacher.hidden.detach(), self.reduction)
