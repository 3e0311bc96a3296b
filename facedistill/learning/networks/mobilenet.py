"""MobileNetV2 (Sandler et al. 2018, Table 2, https://arxiv.org/abs/1801.04381) from torchvision."""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.convolution import replace_depthwise
from facedistill.learning.networks.trunk import Trunk


class MobileNet(Trunk):
    """The maps are the map before each halving of the resolution, and the last one, which has 1280 channels."""

    def __init__(self, embedding: int = 0) -> None:
        from torchvision.models import mobilenet_v2

        super().__init__((16, 24, 32, 96, 1280), smallest_side=1, embedding=embedding)
        layers = mobilenet_v2().features
        replace_depthwise(layers)
        self.stem = layers[:1]
        self.stages = nn.ModuleList([layers[1:2], layers[2:4], layers[4:7], layers[7:14], layers[14:]])
