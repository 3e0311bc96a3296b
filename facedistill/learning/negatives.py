"""In a step, a softmax compares with the classes of the batch, and with a random part of the others.

This is the sampling of Partial FC (An et al. 2022, https://arxiv.org/abs/2203.15565). It saves memory and products.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from facedistill.learning.columns import Columns

GOLDEN = 0x9E3779B97F4A7C15 - 2**64
"""The odd number next to 2⁶⁴ over the golden ratio, as a signed number."""


class Negatives(nn.Module):
    """Draws the classes of each step. A class is drawn by itself, with the probability `share`.

    Whether it is drawn depends on the seed, the step and its number alone, so any number of processes draw the same.
    Its buffer `steps` counts the steps, and a run that goes on takes it from its snapshot.

    columns: all columns of this process.
    rows: the number of its classes.
    gather: returns the labels of all processes.
    """

    def __init__(
        self, columns: Columns, rows: int, share: float, seed: int, gather: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.columns, self.rows, self.share, self.seed, self.gather = columns, rows, share, seed, gather
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    @torch.no_grad()
    def forward(self, labels: Tensor) -> Columns:
        """The columns of the next step. labels: (n,), of this process; −1 for a crop without a name."""
        numbers = torch.arange(self.rows, device=labels.device) + self.columns.first
        chosen = drawn(numbers, self.steps, self.share, self.seed)
        of_batch = self.gather(labels) - self.columns.first
        # A row beyond the last takes those that are not here.
        here = torch.where((of_batch >= 0) & (of_batch < self.rows), of_batch, self.rows)
        chosen = torch.cat([chosen, chosen.new_zeros(1)]).index_fill_(0, here, True)[:-1]
        self.steps += 1
        return self.columns.among(chosen.nonzero()[:, 0])


def drawn(classes: Tensor, step: Tensor, share: float, seed: int) -> Tensor:
    """Whether each class of (n,) numbers is drawn at a step, counted from 0: (n,).

    Each class has a random number of 53 bits, by SplitMix64 (Steele et al. 2014, https://doi.org/10.1145/2660193.2660195).
    """
    start = _mixed(_mixed(torch.full_like(step, seed)) + step * GOLDEN)
    bits = _mixed(start + classes * GOLDEN) >> 11 & 2**53 - 1
    return bits < int(share * 2**53)


def _mixed(bits: Tensor) -> Tensor:
    """The finaliser of SplitMix64, on 64 bits in signed integers, whose products wrap around."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64)):
        bits = (bits ^ (bits >> shift & 2 ** (64 - shift) - 1)) * factor
    return bits ^ (bits >> 31 & 2**33 - 1)
