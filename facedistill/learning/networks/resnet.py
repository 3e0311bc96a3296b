"""ResNet-50/k: ResNet-50 with the number of kernels of every layer divided by k.

ResNet-50: He et al. 2016, Table 1, https://arxiv.org/abs/1512.03385.
The division by k: Wang et al. 2017, section 5.1, https://arxiv.org/abs/1709.02929.
"""

from __future__ import annotations

from torch import Tensor, nn

from facedistill.learning.networks.batch_norm import BatchNorm
from facedistill.learning.networks.convolution import Convolution
from facedistill.learning.networks.trunk import Trunk

BLOCKS = (3, 4, 6, 3)
EXPANSION = 4


class Bottleneck(nn.Module):
    """A 1x1 convolution that reduces, a 3x3 with the stride, a 1x1 that expands, plus the input (projected if need be).

    The stride is on the 3x3 convolution, as in torchvision, and not on the first 1x1 as in the paper.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        channels_out = channels * EXPANSION
        self.conv1 = Convolution(channels_in, channels, 1)
        self.bn1 = BatchNorm(channels)
        self.conv2 = Convolution(channels, channels, 3, stride, padding=1)
        self.bn2 = BatchNorm(channels)
        self.conv3 = Convolution(channels, channels_out, 1)
        self.bn3 = BatchNorm(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(Convolution(channels_in, channels_out, 1, stride), BatchNorm(channels_out))
            if stride != 1 or channels_in != channels_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)  # type: ignore[no-any-return]


class ResNet50(Trunk):
    """The layers have torchvision's names. The maps are the outputs of the four stages, 256 / k to 2048 / k wide.

    divisor: k.
    """

    def __init__(self, divisor: int = 1, embedding: int = 0) -> None:
        width = 64 // divisor
        super().__init__(tuple(width * EXPANSION * 2**i for i in range(4)), smallest_side=1, embedding=embedding)
        self.conv1 = Convolution(3, width, 7, stride=2, padding=3)
        self.bn1 = BatchNorm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(width, width, BLOCKS[0], stride=1)
        self.layer2 = self._stage(width * 4, width * 2, BLOCKS[1], stride=2)
        self.layer3 = self._stage(width * 8, width * 4, BLOCKS[2], stride=2)
        self.layer4 = self._stage(width * 16, width * 8, BLOCKS[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Bottleneck):
                # Each block starts as its shortcut: training is then stable at a rate of 0.1 from the first step
                # (Goyal et al. 2017, section 5.1, https://arxiv.org/abs/1706.02677).
                nn.init.zeros_(module.bn3.weight)

    @staticmethod
    def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        rest = (Bottleneck(channels * EXPANSION, channels, 1) for _ in range(blocks - 1))
        return nn.Sequential(Bottleneck(channels_in, channels, stride), *rest)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        x1 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)
