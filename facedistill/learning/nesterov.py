"""Nesterov's accelerated gradient in one pass over the weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class Nesterov:
    """What `torch.optim.SGD(nesterov=True, fused=True)` computes, on CPU and CUDA, by the same kernel.

    We avoid that class because importing it loads torch's compiler: more than a second in each of some seventy stages.
    A weight whose gradient is None at the first step is never changed.
    """

    def __init__(self, weights: Iterable[Tensor], momentum: float, weight_decay: float) -> None:
        self.weights, self.momentum, self.weight_decay = list(weights), momentum, weight_decay
        self.buffers: list[Tensor] = []
        self._all = self.weights

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """g ← g + λw; v ← μv + g (first: v ← g); w ← w − η(g + μv)."""
        first = not self.buffers
        if first:
            self.weights = [weight for weight in self.weights if weight.grad is not None]
            self.buffers = [torch.zeros_like(weight) for weight in self.weights]
        torch._fused_sgd_(
            self.weights,
            [weight.grad for weight in self.weights],  # type: ignore[misc]
            self.buffers,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=True,
            maximize=False,
            is_first_step=first,
        )

    def momenta(self) -> dict[str, Tensor]:
        """The momentum of each weight that has one, by the weight's place among those given."""
        place = {id(weight): str(i) for i, weight in enumerate(self._all)}
        # Before the first step no weight has one.
        return {place[id(weight)]: buffer for weight, buffer in zip(self.weights, self.buffers, strict=False)}

    @torch.no_grad()
    def restore(self, momenta: Mapping[str, Tensor]) -> None:
        """Go on with these momenta, as of `momenta`; none: as before the first step."""
        # In their order, in which the gradient's norm is summed up.
        places = sorted(map(int, momenta))
        self.weights = [self._all[place] for place in places] or self._all
        self.buffers = [torch.zeros_like(self._all[place]).copy_(momenta[str(place)]) for place in places]
