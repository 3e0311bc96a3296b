"""The one training loop: teacher and students, every task and every recipe."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from facedistill.learning.batches import Batch, IdentityBatches, ShuffledBatches
from facedistill.learning.curves import Curves
from facedistill.learning.device import Precision, autocast, place
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.teachers import Teachers
from facedistill.params import params


@params
class OptimisationParams:
    """Nesterov SGD at a constant rate, or one that falls to 0 along a cosine, after a linear warm-up.

    clip_norm: the gradient's norm is cut to this; 0 for never.
    """

    learning_rate: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    warmup_steps: Annotated[int, Field(ge=0)]
    schedule: Literal["constant", "cosine"]
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(ge=0)]

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of one of the `steps` steps of the whole run."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


class DivergedError(RuntimeError):
    """A loss that is no longer a number."""


@dataclass
class Student:
    """A network in training, with its own loss and log. totals: sums of its loss terms over the epoch so far."""

    name: str
    network: FaceNetwork
    equation: Equation5
    curves: Curves
    totals: dict[str, Tensor] = field(default_factory=dict)


def train(
    students: Sequence[Student],
    teachers: Teachers,
    sampler: ShuffledBatches | IdentityBatches,
    loader: DataLoader[Batch],
    optimisation: OptimisationParams,
    device: torch.device,
    precision: Precision,
) -> list[dict[str, float]]:
    """Train the networks, in place, each by its own loss; the means of each one's loss terms in the last epoch.

    Students of the same batches share what their teachers say of them: a student's steps are those that it would take
    alone, bit for bit. Raises DivergedError where a term is infinite or NaN.
    """
    weights = []
    for student in students:
        place(student.network, device).train()
        student.equation.to(device).train()
        weights.append([*student.network.parameters(), *student.equation.parameters()])
    optimisers = [Nesterov(own, optimisation.momentum, optimisation.weight_decay) for own in weights]
    steps, step = optimisation.epochs * len(loader), 0
    bar = tqdm(total=steps * sampler.batch, unit=" crops", unit_scale=True, disable=None)
    waited, began = 0.0, time.perf_counter()
    means: list[dict[str, float]] = []

    for epoch in range(optimisation.epochs):
        sampler.epoch = epoch
        asked = time.perf_counter()
        for batch in loader:
            batch = batch.to(device)
            waited += time.perf_counter() - asked
            rate = optimisation.rate(step, steps)
            step += 1

            with autocast(device, precision):
                targets = teachers(batch.images)
            for student, own, optimiser in zip(students, weights, optimisers, strict=True):
                with autocast(device, precision):
                    outputs = student.network(batch.images)
                terms = student.equation(outputs, batch.labels, batch.landmarks, targets)
                optimiser.zero_grad()
                terms["loss"].backward()
                if optimisation.clip_norm:
                    torch.nn.utils.clip_grad_norm_(own, optimisation.clip_norm)
                optimiser.step(rate)

                # Sums stay on the device: reading one would wait for the step to end.
                for name, term in terms.items():
                    student.totals[name] = student.totals.get(name, 0) + term.detach()
                if student.curves.wants(step):
                    student.curves.step(step, {name: term.item() for name, term in terms.items()})
            bar.update(len(batch.labels))
            asked = time.perf_counter()

        where = f"epoch {epoch + 1} of {optimisation.epochs}, by step {step}"
        means = [_means(student, len(loader), where) for student in students]
        for student, mean in zip(students, means, strict=True):
            student.curves.epoch(epoch + 1, mean | {"learning_rate": rate})
        share = waited / (time.perf_counter() - began)
        losses = ", ".join(f"{mean['loss']:.3f}" for mean in means)
        bar.set_postfix_str(f"epoch {epoch + 1}/{optimisation.epochs}, loss {losses}, waiting for data {share:.0%}")

    bar.close()
    return means


def _means(student: Student, steps: int, where: str) -> dict[str, float]:
    """The means of an epoch's loss terms; the totals start anew."""
    means = {name: float(total) / steps for name, total in student.totals.items()}
    student.totals.clear()
    if bad := {name: value for name, value in means.items() if not math.isfinite(value)}:
        raise DivergedError(
            f"{student.name}: {where}: {bad} (all terms: {means}); "
            "lower the learning rate, raise warmup_steps, set clip_norm, or take `reduction: mean`"
        )
    return means
