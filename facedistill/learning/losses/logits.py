"""Ψ: regression of the logits (Ba & Caruana 2014, section 2.2, https://arxiv.org/abs/1312.6184)."""

from __future__ import annotations

from torch import Tensor, nn

from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs
from facedistill.learning.parameters import Reduction


class Logits(nn.Module):
    """‖a_S − a_T‖², (N,), for the logits a_S of the student and a_T of the teacher, before any softmax."""

    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        assert student.logits is not None
        assert teacher.logits is not None
        distance = squared_distance(student.logits, teacher.logits.detach(), self.reduction)
        return student.columns.over_all(distance, self.reduction)
