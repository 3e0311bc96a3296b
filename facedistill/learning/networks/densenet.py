"""DenseNet-121 (Huang et al. 2017, Table 1, https://arxiv.org/abs/1608.06993) from torchvision."""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.trunk import Trunk


class DenseNet(Trunk):
    """The maps are the outputs of the four dense blocks, after the batch norm and ReLU that follow each block."""

    def __init__(self, embedding: int = 0) -> None:
        from torchvision.models import densenet121

        super().__init__((256, 512, 1024, 1024), smallest_side=29, embedding=embedding)
        layers = densenet121().features
        first, second, third = layers.transition1, layers.transition2, layers.transition3
        self.stem = layers[:4]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(layers.denseblock1, first.norm, first.relu),
                nn.Sequential(first.conv, first.pool, layers.denseblock2, second.norm, second.relu),
                nn.Sequential(second.conv, second.pool, layers.denseblock3, third.norm, third.relu),
                nn.Sequential(third.conv, third.pool, layers.denseblock4, layers.norm5, nn.ReLU(inplace=True)),
            ]
        )
