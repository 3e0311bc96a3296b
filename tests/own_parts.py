"""Ψ, Φ and architectures of a user's own, which params.yaml names `own_parts:NAME`: good ones, and some with a slip."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.losses.whole_batch import whole_batch
from facedistill.learning.networks import Outputs
from facedistill.learning.networks.trunk import Trunk
from facedistill.learning.parameters import EquationParams


@whole_batch
def similarity(student: Outputs, teacher: Outputs) -> Tensor:
    ours, theirs = (F.normalize(said.hidden @ said.hidden.T) for said in (student, teacher))
    return F.mse_loss(ours, theirs)


def energy(student: Outputs, teacher: Outputs) -> Tensor:
    """(N,), of the last map, whatever its width."""
    ours, theirs = (said.maps[-1].float().square().mean((1, 2, 3)) for said in (student, teacher))
    return F.mse_loss(ours, theirs, reduction="none")


class Projected(nn.Module):
    def __init__(self, student: Trunk, teacher: Trunk) -> None:
        super().__init__()
        self.projector = nn.Linear(student.width, teacher.width)

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        return F.l1_loss(self.projector(student.hidden), teacher.hidden, reduction="none").mean(1)


def smoothed(student: Outputs, labels: Tensor) -> Tensor:
    """Φ: softmax with smoothed labels, (N,)."""
    assert student.logits is not None
    return F.cross_entropy(student.logits, labels, label_smoothing=0.1, reduction="none")


@whole_batch
class Shrunk(nn.Module):
    """Φ: a margin that has seen the lengths of all K of the batch, and learns its own scale."""

    margin_softmax = True

    def __init__(self, equation: EquationParams) -> None:
        super().__init__()
        self.margin = equation.cosine_margin
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, student: Outputs, labels: Tensor) -> Tensor:
        assert student.logits is not None
        lengths = student.hidden.norm(dim=1, keepdim=True).detach()
        margins = self.margin * lengths / lengths.mean()
        logits = student.logits - F.one_hot(labels, student.logits.shape[1]) * margins
        return F.cross_entropy(self.factor * logits, labels, reduction="none")


class Tiny(Trunk):
    def __init__(self, embedding: int = 0) -> None:
        super().__init__((8, 16), smallest_side=4, embedding=embedding)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b, stride in ((8, 8, 1), (8, 16, 2))
        )


number = 7


def several(student: Outputs, teacher: Outputs) -> Tensor:
    return student.hidden * teacher.hidden.mean()


def nothing(student: Outputs, teacher: Outputs) -> Any:
    del student, teacher


def detached(student: Outputs, teacher: Outputs) -> Tensor:
    return student.hidden.detach().mean(1) - teacher.hidden.mean(1)


def undefined(student: Outputs, teacher: Outputs) -> Tensor:
    return (student.hidden.mean(1) - teacher.hidden.mean()).sqrt().log() * torch.nan


def failing(student: Outputs, teacher: Outputs) -> Tensor:
    return student.hidden + teacher.logits.nonsense  # type: ignore[union-attr, no-any-return]


def unmarked(student: Outputs, teacher: Outputs) -> Tensor:
    return similarity(student, teacher)


def scalar(student: Outputs, teacher: Outputs) -> Tensor:
    return energy(student, teacher).mean()


@whole_batch
def maps_of_a_whole_batch(student: Outputs, teacher: Outputs) -> Tensor:
    return energy(student, teacher).mean()


def softmax(student: Outputs, teacher: Outputs) -> Tensor:
    return energy(student, teacher)


def random(student: Outputs, teacher: Outputs) -> Tensor:
    return energy(student, teacher) * torch.rand(())


class Narrow(Tiny):
    """Its K is not as wide as the task asks."""

    def __init__(self, embedding: int = 0) -> None:
        super().__init__(embedding // 2)


class Mislabelled(Tiny):
    def __init__(self, embedding: int = 0) -> None:
        super().__init__(embedding)
        self.map_widths = (8, 17)


class Large(Tiny):
    def __init__(self, embedding: int = 0) -> None:
        super().__init__(embedding)
        self.smallest_side = 1000


class Stopped(Tiny):
    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer.detach() for layer in super().maps(x))


class Tied(Tiny):
    """Two layers with one weight, which safetensors does not write."""

    def __init__(self, embedding: int = 0) -> None:
        super().__init__(embedding)
        self.again = nn.Conv2d(3, 8, 3, bias=False)
        self.again.weight = self.stem[0].weight  # type: ignore[index]


class Crossed(Tiny):
    """Its batch norm is declared after a convolution that it does not follow."""

    def __init__(self, embedding: int = 0) -> None:
        super().__init__(embedding)
        self.first, self.norm = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.first(self.norm(self.stem(x)))
        first = self.stages[0](x)
        return first, self.stages[1](first)


def no_trunk(embedding: int) -> nn.Module:
    return nn.Linear(3, embedding or 1)
