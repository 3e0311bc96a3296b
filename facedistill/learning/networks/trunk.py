"""All architectures share this: batch norm on the raw input, feature maps by resolution, and one rule for K."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from facedistill.learning.networks.batch_norm import BatchNorm


class Features(NamedTuple):
    """The features of a batch of images.

    hidden: K, (N, width), the layer under the classifier.
    maps: the last map, (N, C, h, w), at each resolution after the stem; the coarsest comes last.
    """

    hidden: Tensor
    maps: tuple[Tensor, ...]


class Embedder(nn.Module):
    """Turns images, (N, 3, H, W) RGB float from 0 to 255, into Features.

    width: the width of K.
    map_widths: the channels of each map; empty for an embedder that gives no maps.
    whole: whether it takes whole crops as they are stored, of any side, and not the part that a task cuts out.
    """

    whole = False

    def __init__(self, width: int, map_widths: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.width, self.map_widths = width, map_widths

    @property
    def size(self) -> int:
        """The number of its parameters."""
        return sum(weight.numel() for weight in self.parameters())


class Trunk(Embedder):
    """An embedder of this project's own networks.

    K is the global average of the last map. If `embedding` is not 0, a linear layer of so many outputs follows, and its
    output is K. An architecture sets `stem` and `stages`; each stage gives one map.
    """

    stem: nn.Module
    stages: nn.ModuleList

    def __init__(self, map_widths: tuple[int, ...], smallest_side: int, embedding: int) -> None:
        super().__init__(embedding or map_widths[-1], map_widths)
        self.smallest_side = smallest_side
        self.input_norm = BatchNorm(3)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.embedding = nn.Linear(map_widths[-1], embedding) if embedding else None

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps of normalised images."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, images: Tensor) -> Features:
        """Raises ValueError for images so small that the last map would be empty."""
        height, width = images.shape[-2:]
        if min(height, width) < self.smallest_side:
            raise ValueError(
                f"{type(self).__name__} needs images of {self.smallest_side} px or more, found {width} x {height}"
            )
        maps = self.maps(self.input_norm(images))
        hidden = self.avgpool(maps[-1]).flatten(1)
        return Features(hidden if self.embedding is None else self.embedding(hidden), maps)
