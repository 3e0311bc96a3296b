"""A network in training: its own loss, its optimiser, its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from facedistill.learning.batches import Batch
from facedistill.learning.curves import Curves
from facedistill.learning.device import autocast
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import Precision

Loss = Callable[[Batch, Targets], dict[str, Tensor]]
"""The terms of a batch by name, and `loss`, of which the gradient is taken."""


class Objective(nn.Module):
    """Equation 5 of what a network makes of a batch: the terms by name, and `loss`."""

    def __init__(self, network: FaceNetwork, equation: Equation5, precision: Precision) -> None:
        super().__init__()
        self.network, self.equation, self.precision = network, equation, precision

    def forward(self, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        with autocast(batch.images.device, self.precision):
            outputs = self.network(batch.images)
        return self.equation(outputs, batch.labels, batch.landmarks, targets)  # type: ignore[no-any-return]


@dataclass
class Student:
    """objective: the network's loss of a batch by its equation, the same in however many processes.

    totals: (terms,) sums of its loss terms over the epoch so far. means: those of the last whole epoch.
    """

    name: str
    network: FaceNetwork
    equation: Equation5
    objective: Loss
    optimiser: Nesterov
    curves: Curves
    terms: tuple[str, ...] = ()
    totals: Tensor | None = None
    means: dict[str, float] = field(default_factory=dict)
    _first_bad: Tensor | None = None

    def count(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Add the loss terms of a step, from 1. Nothing is read from the device, to wait for no step."""
        self.terms = tuple(terms)
        values = torch.stack([term.detach().float() for term in terms.values()])
        self.totals = values if self.totals is None else self.totals + values
        noted = torch.cat([values.new_full((1,), step), values])
        earlier = torch.zeros_like(noted) if self._first_bad is None else self._first_bad
        self._first_bad = torch.where(values.isfinite().all() | (earlier[0] > 0), earlier, noted)

    def first_bad(self) -> tuple[int, dict[str, float]] | None:
        """The first step with a term that is infinite or NaN, and its terms."""
        step, *values = self._first_bad.tolist() if self._first_bad is not None else (0,)
        return (int(step), dict(zip(self.terms, values, strict=True))) if step else None

    def end_epoch(self, steps: int) -> None:
        """The means of the epoch's `steps` steps; the totals start anew."""
        assert self.totals is not None
        self.means = {name: total / steps for name, total in zip(self.terms, self.totals.tolist(), strict=True)}
        self.totals = None

    def tensors(self) -> dict[str, Tensor]:
        """Everything that its next steps depend on, by name."""
        parts = {
            "network": self.network.state_dict(),
            "equation": self.equation.state_dict(),
            "momentum": self.optimiser.momenta(),
            "epoch": {} if self.totals is None else {"totals": self.totals},
        }
        return {f"{part}.{name}": tensor for part, found in parts.items() for name, tensor in found.items()}

    def log(self) -> dict[str, Any]:
        """What it has logged, as JSON values."""
        return {"means": self.means, "curves": self.curves.rows}

    def restore(self, tensors: Mapping[str, Tensor], log: Mapping[str, Any]) -> None:
        """Go back to where it gave these `tensors` and this `log`."""

        def part(name: str) -> dict[str, Tensor]:
            return {k.removeprefix(f"{name}."): tensor for k, tensor in tensors.items() if k.startswith(f"{name}.")}

        self.network.load_state_dict(part("network"))
        self.equation.load_state_dict(part("equation"))
        self.optimiser.restore(part("momentum"))
        totals = part("epoch").get("totals")
        self.totals = None if totals is None else totals.to(next(self.network.parameters()).device)
        self.means = dict(log["means"])
        self.curves.replay(log["curves"])
