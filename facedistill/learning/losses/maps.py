"""The terms that compare feature maps share these two choices: which map, and at which resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor

T = TypeVar("T")


def middle(maps: Sequence[T]) -> T:
    """The map at half of the depth, such as the second of ResNet-50's four."""
    return maps[(len(maps) - 1) // 2]


def same_resolution(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Average (N, C, h, w) and (N, C', h', w') down to the smaller of the two heights and of the two widths."""
    height, width = (min(sides) for sides in zip(a.shape[2:], b.shape[2:], strict=True))
    return _pooled(a, height, width), _pooled(b, height, width)


def _pooled(maps: Tensor, height: int, width: int) -> Tensor:
    return maps if maps.shape[2:] == (height, width) else F.adaptive_avg_pool2d(maps, (height, width))
