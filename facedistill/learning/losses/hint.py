"""Ψ: the hint at half of the depth (FitNets; Romero et al. 2015, section 2.2, https://arxiv.org/abs/1412.6550)."""

from __future__ import annotations

from torch import Tensor, nn

from facedistill.learning.losses.maps import middle, same_resolution
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs


class Hint(nn.Module):
    """The mean squared difference between the middle feature maps, (N,).

    A 1x1 convolution gives the student's map as many channels as the teacher's. The squares are always averaged over
    the map: the sum of thousands of values would be too large for every learning rate.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.regressor = nn.Conv2d(student_width, teacher_width, 1)

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        ours, theirs = same_resolution(middle(student.maps).float(), middle(teacher.maps).detach().float())
        return squared_distance(self.regressor(ours), theirs, "mean")
