"""Ψ: activation-based attention transfer, with sums of squares.

Zagoruyko & Komodakis 2017, section 3.1, https://arxiv.org/abs/1612.03928.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.losses.maps import same_resolution
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs


def attention(student: Outputs, teacher: Outputs) -> Tensor:
    """Σ over pairs of maps of ‖Q_S / |Q_S| − Q_T / |Q_T|‖², (N,); Q is the mean of a map's squares over its channels.

    The last maps of both networks form a pair, then the last but one, and so on as far as both have one. Their numbers
    of channels may differ. A pair adds 0 to 2. A map of one pixel always adds 0: it has nowhere else to look.
    """
    pairs = zip(reversed(student.maps), reversed(teacher.maps), strict=False)
    return torch.stack([_difference(ours, theirs.detach()) for ours, theirs in pairs]).sum(0)


def _difference(ours: Tensor, theirs: Tensor) -> Tensor:
    # We pool after squaring, because averages of signed features would cancel.
    ours, theirs = same_resolution(_energy(ours), _energy(theirs))
    return squared_distance(F.normalize(ours.flatten(1)), F.normalize(theirs.flatten(1)))


def _energy(maps: Tensor) -> Tensor:
    """Reduce (N, C, h, w) to (N, 1, h, w)."""
    return maps.float().square().mean(1, keepdim=True)
