"""A network in training, with its loss, its optimiser and its log."""

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
from facedistill.learning.model_files import part
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import Precision

Loss = Callable[[Batch, Targets], dict[str, Tensor]]
"""Returns the terms of a batch by name, and as `loss` the sum whose gradient is taken."""


class Objective(nn.Module):
    """A network and its Equation 5 as one module: a batch goes in, and the terms come out by name."""

    def __init__(self, network: FaceNetwork, equation: Equation5, precision: Precision) -> None:
        super().__init__()
        self.network, self.equation, self.precision = network, equation, precision

    def forward(self, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        if self.equation.negatives is not None:
            self.network.columns = self.equation.negatives(batch.labels)
        with autocast(batch.images.device, self.precision):
            outputs = self.network(batch.images)
        return self.equation(outputs, batch.labels, batch.landmarks, targets)  # type: ignore[no-any-return]


@dataclass
class Student:
    """A network in training, whether teacher or student.

    equation: its loss, which may have weights of its own.
    objective: the loss of a full batch; its value does not depend on the number of processes.
    terms: the names of the loss terms.
    totals: (terms,), the sums of the loss terms over the epoch so far; None before its first step.
    means: the means of the loss terms over the last complete epoch.
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
        """Add the loss terms of one step, counted from 1.

        It reads nothing from the device, because that would wait until the step is done.
        """
        self.terms = tuple(terms)
        values = torch.stack([term.detach().float() for term in terms.values()])
        self.totals = values if self.totals is None else self.totals + values
        noted = torch.cat([values.new_full((1,), step), values])
        earlier = torch.zeros_like(noted) if self._first_bad is None else self._first_bad
        self._first_bad = torch.where(values.isfinite().all() | (earlier[0] > 0), earlier, noted)

    def first_bad(self) -> tuple[int, dict[str, float]] | None:
        """Return the first step with a term that is infinite or NaN, and its terms; None if there is no such step."""
        if self._first_bad is None:
            return None
        step, *values = self._first_bad.tolist()
        return (int(step), dict(zip(self.terms, values, strict=True))) if step else None

    def end_epoch(self, steps: int) -> None:
        """Compute the means over the `steps` steps of the epoch, and reset the totals."""
        assert self.totals is not None
        self.means = {name: total / steps for name, total in zip(self.terms, self.totals.tolist(), strict=True)}
        self.totals = None

    def clip(self, limit: float) -> None:
        """Scale its gradient so that the norm is at most `limit`."""
        self.network.columns.clip(self.optimiser.weights, limit)

    def weights(self) -> dict[str, Tensor]:
        """Return the state of its network, as `tensors` does."""
        return part(self._whole({f"network.{name}": t for name, t in self.network.state_dict().items()}), "network")

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that its next steps depend on, by name, with the whole classifier.

        Every process has to call it if the classifier is cut into shards. Only the main one then gets the classifier.
        """
        parts = {
            "network": self.network.state_dict(),
            "equation": self.equation.state_dict(),
            "momentum": self.optimiser.momenta(),
            "epoch": {} if self.totals is None else {"totals": self.totals},
        }
        return self._whole({f"{name}.{key}": tensor for name, found in parts.items() for key, tensor in found.items()})

    def log(self) -> dict[str, Any]:
        """Return what it has logged, as JSON values."""
        return {"means": self.means, "curves": self.curves.rows}

    def restore(self, tensors: Mapping[str, Tensor], log: Mapping[str, Any]) -> None:
        """Go back to the state in which `tensors` and `log` returned these values."""
        of_classes, own = self._of_classes(), self.network.columns.own
        tensors = {name: own(tensor) if name in of_classes else tensor for name, tensor in tensors.items()}
        self.network.load_state_dict(part(tensors, "network"))
        self.equation.load_state_dict(part(tensors, "equation"))
        self.optimiser.restore(part(tensors, "momentum"))
        totals = tensors.get("epoch.totals")
        self.totals = None if totals is None else totals.to(next(self.network.parameters()).device)
        self.means = dict(log["means"])
        self.curves.replay(log["curves"])

    def _whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        of_classes, of_all = self._of_classes(), self.network.columns.of_all
        return {name: of_all(tensor) if name in of_classes else tensor for name, tensor in tensors.items()}

    def _of_classes(self) -> set[str]:
        """The names of the tensors that have a row for each class: weights of the classifier, and their momenta."""
        head = dict(self.network.identity.named_parameters()) if self.network.identity else {}
        places = self.optimiser.places([*head.values()])
        return {f"network.identity.{name}" for name in head} | {f"momentum.{place}" for place in places}
