"""A network in training: its own loss, its optimiser, its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from facedistill.learning.curves import Curves
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork


@dataclass
class Student:
    """totals: sums of its loss terms over the epoch so far. means: those of the last whole epoch."""

    name: str
    network: FaceNetwork
    equation: Equation5
    optimiser: Nesterov
    curves: Curves
    totals: dict[str, Tensor] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that its next steps depend on, by name."""
        parts = {
            "network": self.network.state_dict(),
            "equation": self.equation.state_dict(),
            "momentum": self.optimiser.momenta(),
            "total": self.totals,
        }
        return {f"{part}.{name}": tensor for part, found in parts.items() for name, tensor in found.items()}

    def log(self) -> dict[str, Any]:
        """What it has logged, as JSON values."""
        return {"means": self.means, "curves": self.curves.rows, "terms": list(self.totals)}

    def restore(self, tensors: Mapping[str, Tensor], log: Mapping[str, Any]) -> None:
        """Go back to where it gave these `tensors` and this `log`."""

        def part(name: str) -> dict[str, Tensor]:
            return {k.removeprefix(f"{name}."): tensor for k, tensor in tensors.items() if k.startswith(f"{name}.")}

        self.network.load_state_dict(part("network"))
        self.equation.load_state_dict(part("equation"))
        self.optimiser.restore(part("momentum"))
        device = next(self.network.parameters()).device
        totals = part("total")
        self.totals = {name: totals[name].to(device) for name in log["terms"]}
        self.means = dict(log["means"])
        self.curves.replay(log["curves"])
