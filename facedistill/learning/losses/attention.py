"""Ψ: attention transfer (Zagoruyko & Komodakis 2017, section 3.1, activation-based, sums of squares)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.losses.maps import same_resolution
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.networks import Outputs


def attention(student: Outputs, teacher: Outputs) -> Tensor:
    """Σ over pairs of maps of ‖Q_S / |Q_S| − Q_T / |Q_T|‖², (N,); Q is the mean of a map's squares over its channels.

    Maps are paired from the last backwards, as many as both networks have, whatever their channels. A pair adds 0 to 2,
    and always 0 where it is one pixel: there is nowhere else to look.
    """
    pairs = zip(reversed(student.maps), reversed(teacher.maps), strict=False)
    return torch.stack([_difference(ours, theirs.detach()) for ours, theirs in pairs]).sum(0)


def _difference(ours: Tensor, theirs: Tensor) -> Tensor:
    # Pooled after the squares: averages of signed features would cancel.
    ours, theirs = same_resolution(_energy(ours), _energy(theirs))
    return squared_distance(F.normalize(ours.flatten(1)), F.normalize(theirs.flatten(1)))


def _energy(maps: Tensor) -> Tensor:
    """(N, C, h, w) to (N, 1, h, w)."""
    return maps.float().square().mean(1, keepdim=True)
