"""Classifier and loss for 100,000 people in one distillation step: time and memory, against the products alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks.memory import peak_mb
from benchmarks.speed.measure import Row, alone, rates
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks.face_network import Outputs
from facedistill.learning.parameters import EquationParams
from facedistill.params import load
from facedistill.recipe import Recipe

CLASSES, WIDTH, BATCH = 100_000, 2_048, 256


class Head(nn.Module):
    """A classifier that takes K as its input.

    scale: 0, as in a FaceNetwork without a margin softmax.
    """

    scale = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.identity = nn.Linear(WIDTH, CLASSES)

    def forward(self, hidden: torch.Tensor) -> Outputs:
        return Outputs(hidden, (), self.identity(hidden).float(), None)


def many_classes(device: torch.device) -> Iterator[Row]:
    """Measure Φ and H, with a teacher's classifier that is as wide as the student's."""
    step, products, megabytes = alone(_measure, device.type)
    what = f"classifier and loss, {CLASSES:,} classes x {WIDTH:,}, batch {BATCH}"
    yield Row(what, "its four matrix products", "s", 1 / step, 1 / products, step / products, None)
    # At least: the student's weights, gradient and momentum, the teacher's weights, and the logits of both.
    least = 4 * (4 * CLASSES * WIDTH + 2 * BATCH * CLASSES) / 2**20
    yield Row(what, "4 sets of weights and 2 of logits", "MB", megabytes, least, least / megabytes, None)


def _measure(kind: str) -> tuple[float, float, float]:
    """Return steps per second, the same for the matrix products alone, and the peak memory in MB."""
    device, before = torch.device(kind), peak_mb()
    torch.manual_seed(0)
    student, teacher = Head().to(device), Head().to(device).requires_grad_(False)
    hidden = torch.randn(BATCH, WIDTH, device=device, requires_grad=True)
    labels, landmarks = torch.randint(CLASSES, (BATCH,), device=device), torch.empty(BATCH, 5, 2, device=device)
    equation = Equation5(Recipe("softmax", alpha=1), load(EquationParams, "equation"), student, None)  # type: ignore[arg-type]
    optimiser = Nesterov(student.parameters(), 0.9, 1e-4)

    def step() -> int:
        with torch.no_grad():
            targets = Targets(teacher(hidden), None)
        optimiser.zero_grad()
        equation(student(hidden), labels, landmarks, targets)["loss"].backward()
        optimiser.step(0.1)
        return 1

    step()
    highest = torch.cuda.max_memory_allocated() / 2**20 if kind == "cuda" else peak_mb() - before
    weight, rows, gradient = (
        student.identity.weight.detach(),
        hidden.detach(),
        torch.randn(BATCH, CLASSES, device=device),
    )

    def products() -> int:
        for _ in range(2):
            rows @ weight.T
        gradient @ weight
        gradient.T @ rows
        return 1

    return (*rates(step, products, rounds=1), highest)  # type: ignore[return-value]
