"""ResNet-50/k (He et al. 2016; Wang et al., section 5.1): ResNet-50 with every layer's kernels divided by k."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

BLOCKS = (3, 4, 6, 3)
EXPANSION = 4


class Features(NamedTuple):
    """hidden: (N, C) the pooled layer under the classifier, K. middle: (N, C', h, w) at half of the depth."""

    hidden: Tensor
    middle: Tensor


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3 with the stride, 1x1 expand, plus the (projected) input."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        channels_out = channels * EXPANSION
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
            )
            if stride != 1 or channels_in != channels_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)  # type: ignore[no-any-return]


class ResNet50(nn.Module):
    """The trunk: batch norm on the raw input in place of any mean subtraction, then ResNet-50/k up to the pooled layer.

    Images are (N, 3, H, W), RGB, float, 0 to 255. `width` is that of K: 2048 / k. `middle` is 1024 / k wide.
    """

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        if 64 % divisor:
            raise ValueError(f"ResNet-50/{divisor}: 64 kernels cannot be divided by {divisor}")
        width = 64 // divisor
        self.input_norm = nn.BatchNorm2d(3)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(width, width, BLOCKS[0], stride=1)
        self.layer2 = self._stage(width * 4, width * 2, BLOCKS[1], stride=2)
        self.layer3 = self._stage(width * 8, width * 4, BLOCKS[2], stride=2)
        self.layer4 = self._stage(width * 16, width * 8, BLOCKS[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.width = width * 8 * EXPANSION
        self.middle_width = width * 2 * EXPANSION
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Bottleneck):
                # Each block starts as its shortcut (Goyal et al. 2017): stable at a rate of 0.1 from the first step.
                nn.init.zeros_(module.bn3.weight)

    @staticmethod
    def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        rest = (Bottleneck(channels * EXPANSION, channels, 1) for _ in range(blocks - 1))
        return nn.Sequential(Bottleneck(channels_in, channels, stride), *rest)

    def forward(self, images: Tensor) -> Features:
        x = self.relu(self.bn1(self.conv1(self.input_norm(images))))
        middle = self.layer2(self.layer1(self.maxpool(x)))
        return Features(self.avgpool(self.layer4(self.layer3(middle))).flatten(1), middle)
