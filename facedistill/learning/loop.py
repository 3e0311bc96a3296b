"""The one training loop: teacher and students, every task and every recipe."""

from __future__ import annotations

import math
import time
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


def train(
    network: FaceNetwork,
    equation: Equation5,
    teachers: Teachers,
    sampler: ShuffledBatches | IdentityBatches,
    loader: DataLoader[Batch],
    optimisation: OptimisationParams,
    device: torch.device,
    precision: Precision,
    curves: Curves,
) -> dict[str, float]:
    """Train `network`, in place, by `equation`; the means of the last epoch's loss terms.

    Raises DivergedError where a term is infinite or NaN.
    """
    place(network, device).train()
    equation.to(device).train()
    weights = [*network.parameters(), *equation.parameters()]
    optimiser = Nesterov(weights, optimisation.momentum, optimisation.weight_decay)
    steps, step = optimisation.epochs * len(loader), 0
    bar = tqdm(total=steps * sampler.batch, unit=" crops", unit_scale=True, disable=None)
    waited, began = 0.0, time.perf_counter()
    means: dict[str, float] = {}

    for epoch in range(optimisation.epochs):
        sampler.epoch = epoch
        totals: dict[str, Tensor] = {}
        asked = time.perf_counter()
        for batch in loader:
            batch = batch.to(device)
            waited += time.perf_counter() - asked

            with autocast(device, precision):
                targets = teachers(batch.images)
                outputs = network(batch.images)
            terms = equation(outputs, batch.labels, batch.landmarks, targets)
            optimiser.zero_grad()
            terms["loss"].backward()
            if optimisation.clip_norm:
                torch.nn.utils.clip_grad_norm_(weights, optimisation.clip_norm)
            optimiser.step(optimisation.rate(step, steps))

            # Sums stay on the device: reading one would wait for the step to end.
            for name, term in terms.items():
                totals[name] = totals.get(name, 0) + term.detach()
            step += 1
            if curves.wants(step):
                curves.step(step, {name: term.item() for name, term in terms.items()})
            bar.update(len(batch.labels))
            asked = time.perf_counter()

        means = {name: float(total) / len(loader) for name, total in totals.items()}
        if bad := {name: value for name, value in means.items() if not math.isfinite(value)}:
            raise DivergedError(
                f"epoch {epoch + 1} of {optimisation.epochs}, by step {step}: {bad} (all terms: {means}); "
                "lower the learning rate, raise warmup_steps, set clip_norm, or take `reduction: mean`"
            )
        curves.epoch(epoch + 1, means | {"learning_rate": optimisation.rate(step - 1, steps)})
        share = waited / (time.perf_counter() - began)
        bar.set_postfix_str(
            f"epoch {epoch + 1}/{optimisation.epochs}, loss {means['loss']:.3f}, waiting for data {share:.0%}"
        )

    bar.close()
    return means
