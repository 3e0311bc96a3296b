"""ShuffleNetV2 1.0x (Ma et al. 2018, Table 5, https://arxiv.org/abs/1807.11164) from torchvision."""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.convolution import replace_depthwise
from facedistill.learning.networks.trunk import Trunk


class ShuffleNet(Trunk):
    """The maps are the outputs of the three stages; the last one is widened to 1024 channels."""

    def __init__(self, embedding: int = 0) -> None:
        from torchvision.models import shufflenet_v2_x1_0

        super().__init__((116, 232, 1024), smallest_side=1, embedding=embedding)
        layers = shufflenet_v2_x1_0()
        replace_depthwise(layers)
        self.stem = nn.Sequential(layers.conv1, layers.maxpool)
        self.stages = nn.ModuleList([layers.stage2, layers.stage3, nn.Sequential(layers.stage4, layers.conv5)])
