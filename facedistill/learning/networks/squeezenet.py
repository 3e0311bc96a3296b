"""SqueezeNet 1.1 from torchvision, with batch norm added.

The paper has version 1.0: Iandola et al. 2016, Table 1, https://arxiv.org/abs/1602.07360.
"""

from __future__ import annotations

from torch import nn

from facedistill.learning.networks.trunk import Trunk


class SqueezeNet(Trunk):
    """SqueezeNet 1.1 without its convolutional classifier: K is the pooled output of the last fire module.

    The maps are the map before each pooling, and the last one. Images have 17 px or more.

    We add batch norm after every convolution. Without it, at the learning rates of the other networks, every ReLU of
    the last map dies, and K is 0.
    """

    def __init__(self, embedding: int = 0) -> None:
        from torchvision.models import squeezenet1_1

        super().__init__((128, 256, 512), smallest_side=17, embedding=embedding)
        layers = squeezenet1_1().features
        layers.apply(_add_batch_norm)
        self.stem = layers[:2]
        self.stages = nn.ModuleList([layers[2:5], layers[5:8], layers[8:]])


def _add_batch_norm(module: nn.Module) -> None:
    for name, part in [*module.named_children()]:
        if isinstance(part, nn.Conv2d):
            setattr(module, name, nn.Sequential(part, nn.BatchNorm2d(part.out_channels)))
