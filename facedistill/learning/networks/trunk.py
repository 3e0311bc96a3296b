"""What every architecture shares: batch norm on the raw input, feature maps by resolution, and one rule for K."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Features(NamedTuple):
    """hidden: (N, width) the layer under the classifier, K.

    maps: the last (N, C, h, w) at each resolution after the stem, coarse ones last.
    """

    hidden: Tensor
    maps: tuple[Tensor, ...]


class Trunk(nn.Module):
    """Images (N, 3, H, W), RGB, float, 0 to 255, to Features.

    K is the global average of the last map, and a linear layer of `embedding` outputs on top of it where that is not 0.
    `width` is that of K, `map_widths` are the maps' channels. An architecture sets `stem` and `stages`, a map a stage.
    """

    stem: nn.Module
    stages: nn.ModuleList

    def __init__(self, map_widths: tuple[int, ...], smallest_side: int, embedding: int) -> None:
        super().__init__()
        self.map_widths, self.smallest_side = map_widths, smallest_side
        self.width = embedding or map_widths[-1]
        self.input_norm = nn.BatchNorm2d(3)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.embedding = nn.Linear(map_widths[-1], embedding) if embedding else None

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The feature maps of normalised images."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, images: Tensor) -> Features:
        """Raises ValueError for images so small that nothing would be left of the last map."""
        height, width = images.shape[-2:]
        if min(height, width) < self.smallest_side:
            raise ValueError(
                f"{type(self).__name__} needs images of {self.smallest_side} px or more, found {width} x {height}"
            )
        maps = self.maps(self.input_norm(images))
        hidden = self.avgpool(maps[-1]).flatten(1)
        return Features(hidden if self.embedding is None else self.embedding(hidden), maps)
