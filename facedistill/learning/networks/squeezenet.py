"""SqueezeNet 1.1 (Iandola et al. 2016), torchvision's."""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.trunk import Trunk


class SqueezeNet(Trunk):
    """Its convolutional classifier is left out: K is the pooled output of the last fire module. Images from 17 px.

    The maps are those before each pooling and the last.
    """

    def __init__(self, embedding: int = 0) -> None:
        from torchvision.models import squeezenet1_1

        super().__init__((128, 256, 512), smallest_side=17, embedding=embedding)
        layers = squeezenet1_1().features
        self.stem = layers[:2]
        self.stages = nn.ModuleList([layers[2:5], layers[5:8], layers[8:]])
