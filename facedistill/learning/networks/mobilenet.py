"""MobileNetV2 (Sandler et al. 2018), torchvision's."""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.trunk import Trunk


class MobileNet(Trunk):
    """The maps are those before each halving of the resolution, and the last, after the widening to 1280."""

    def __init__(self, embedding: int = 0) -> None:
        from torchvision.models import mobilenet_v2

        super().__init__((16, 24, 32, 96, 1280), smallest_side=1, embedding=embedding)
        layers = mobilenet_v2().features
        self.stem = layers[:1]
        self.stages = nn.ModuleList([layers[1:2], layers[2:4], layers[4:7], layers[7:14], layers[14:]])
