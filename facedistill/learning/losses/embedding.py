"""Ψ: the embedding itself (L2KD, the baseline of ProxylessKD; Shi et al. 2020, https://arxiv.org/abs/2011.00265)."""

from __future__ import annotations

from torch import Tensor, nn

from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs
from facedistill.learning.parameters import Reduction
from facedistill.params import ParamsError


class Embedding(nn.Module):
    """‖K_S − K_T‖², (N,). There is no projector: the student learns to embed into the teacher's own space.

    Raises ParamsError if K_S and K_T differ in width.
    """

    def __init__(self, student_width: int, teacher_width: int, reduction: Reduction) -> None:
        super().__init__()
        if student_width != teacher_width:
            raise ParamsError(
                f"psi: embedding: the student's hidden layer is {student_width} wide and the teacher's "
                f"{teacher_width}; give both networks one `embedding`, or take psi: hidden, which has a projector"
            )
        self.reduction = reduction

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        return squared_distance(student.hidden, teacher.hidden.detach(), self.reduction)
