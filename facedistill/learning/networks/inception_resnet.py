"""Inception-ResNet-v2 (Szegedy et al. 2017, section 3.2, https://arxiv.org/abs/1602.07261) from timm."""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.trunk import Trunk


class InceptionResNet(Trunk):
    """The maps are the outputs of the three series of blocks; the last one is narrowed to 1536 channels.

    Images have 75 px or more.
    """

    def __init__(self, embedding: int = 0) -> None:
        from timm.models.inception_resnet_v2 import InceptionResnetV2

        super().__init__((320, 1088, 1536), smallest_side=75, embedding=embedding)
        net = InceptionResnetV2(num_classes=0)
        self.stem = nn.Sequential(
            net.conv2d_1a, net.conv2d_2a, net.conv2d_2b, net.maxpool_3a, net.conv2d_3b, net.conv2d_4a
        )
        self.stages = nn.ModuleList(
            [
                nn.Sequential(net.maxpool_5a, net.mixed_5b, net.repeat),
                nn.Sequential(net.mixed_6a, net.repeat_1),
                nn.Sequential(net.mixed_7a, net.repeat_2, net.block8, net.conv2d_7b),
            ]
        )
