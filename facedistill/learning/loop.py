"""The one training loop: teacher and students, every task and every recipe."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.utils.data import DataLoader
from tqdm import tqdm

from facedistill.learning.batches import Batch, BatchSampler
from facedistill.learning.device import Precision, autocast
from facedistill.learning.divergence import stop_if_diverged
from facedistill.learning.snapshots import Snapshots
from facedistill.learning.student import Student
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


def train(
    students: Sequence[Student],
    teachers: Teachers,
    sampler: BatchSampler,
    loader: DataLoader[Batch],
    optimisation: OptimisationParams,
    device: torch.device,
    precision: Precision,
    snapshots: Snapshots,
) -> None:
    """Train the networks, in place, each by its own loss, and go on from the last of `snapshots` where there is one.

    sampler: of whole batches; `loader` gives this process its part of each. Students of the same batches share what
    their teachers say of them: a student's steps are those that it would take alone, bit for bit.

    Raises DivergedError where a term is infinite or NaN.
    """
    epoch_steps = len(loader)
    steps, step = optimisation.epochs * epoch_steps, snapshots.restore(students)
    total, done, hidden = steps * sampler.batch, step * sampler.batch, None if snapshots.process.writes else True
    bar = tqdm(total=total, initial=done, unit=" crops", unit_scale=True, disable=hidden)
    waited, began = 0.0, time.perf_counter()

    for epoch in range(step // epoch_steps, optimisation.epochs):
        sampler.epoch, sampler.skip = epoch, step % epoch_steps
        asked = time.perf_counter()
        for batch in loader:
            batch = batch.to(device)
            waited += time.perf_counter() - asked
            rate = optimisation.rate(step, steps)
            step += 1

            with autocast(device, precision):
                targets = teachers(batch.images)
            for student in students:
                terms = student.objective(batch, targets)
                student.optimiser.zero_grad()
                terms["loss"].backward()  # type: ignore[no-untyped-call]
                if optimisation.clip_norm:
                    torch.nn.utils.clip_grad_norm_(student.optimiser.weights, optimisation.clip_norm)
                student.optimiser.step(rate)

                student.count(step, terms)
                if student.curves.wants(step):
                    student.curves.step(step, {name: term.item() for name, term in terms.items()})
            if snapshots.due() and step % epoch_steps:
                stop_if_diverged(students, sampler, loader, snapshots)
                snapshots.save(step, students)
            bar.update(sampler.batch)
            asked = time.perf_counter()

        stop_if_diverged(students, sampler, loader, snapshots)
        for student in students:
            student.end_epoch(epoch_steps)
            student.curves.epoch(epoch + 1, student.means | {"learning_rate": rate})
        if snapshots.due(epoch + 1):
            snapshots.save(step, students)
        share = waited / (time.perf_counter() - began)
        losses = ", ".join(f"{student.means['loss']:.3f}" for student in students)
        bar.set_postfix_str(f"epoch {epoch + 1}/{optimisation.epochs}, loss {losses}, waiting for data {share:.0%}")

    bar.close()
