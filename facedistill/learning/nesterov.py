"""Nesterov's accelerated gradient in one pass over the weights.

Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html, in the form that PyTorch gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class Nesterov:
    """Computes what `torch.optim.SGD(nesterov=True, fused=True)` computes, by the same kernel, on the CPU and on CUDA.

    We avoid that class because importing it loads torch's compiler: more than a second in each of some seventy stages.

    weights: the weights that it trains. A weight without a gradient at the first step is left out, and never changed.
    """

    def __init__(self, weights: Iterable[Tensor], momentum: float, weight_decay: float) -> None:
        self.weights, self.momentum, self.weight_decay = list(weights), momentum, weight_decay
        self.buffers: list[Tensor] = []
        self._all = self.weights

    def zero_grad(self) -> None:
        """Remove the gradients of all weights."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Take one step: g ← g + λw; v ← μv + g (at the first step v ← g); w ← w − η(g + μv)."""
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
        """Return the momentum of each trained weight. The key is the weight's place among the weights given."""
        # Before the first step there are no buffers.
        return dict(zip(self.places(self.weights), self.buffers, strict=False))

    def places(self, weights: Iterable[Tensor]) -> list[str]:
        """Return the keys of these weights in `momenta`."""
        place = {id(weight): str(i) for i, weight in enumerate(self._all)}
        return [place[id(weight)] for weight in weights]

    @torch.no_grad()
    def restore(self, momenta: Mapping[str, Tensor]) -> None:
        """Go on from what `momenta` returned. If there are no momenta, start as before the first step."""
        if not momenta:
            self.weights, self.buffers = self._all, []
            return
        # The order must stay the same, because the norm of the gradient is summed up in it.
        places = sorted(map(int, momenta))
        self.weights = [self._all[place] for place in places]
        self.buffers = [torch.zeros_like(self._all[place]).copy_(momenta[str(place)]) for place in places]
