"""The face-recognition ResNet-27 (Wen et al. 2016, center loss), and its thinner and deeper versions (Fujitsu poster).

Wen et al.: 3x3 convolutions with PReLUs; two of 32 and 64 channels, then stages of 64, 128, 256 and 512 channels with
1, 2, 5 and 3 residual blocks of two, each stage but the first opened by one more convolution; 2x2 max pooling after the
first two and after each opening one; no padding where channels change. 27 convolutions. Two things are ours: batch norm
after each, without which the rate of 0.1 from random weights does not train it, and global average pooling in place of
512 outputs on the flattened 5 x 4 map, as in every trunk and also 512 wide.

The poster prints neither channels nor blocks. That this is its teacher is our reading of its Table 1: at 112 x 96 it
makes 2,108 M multiply-adds (printed: 2,049), and with the flattened layer and 10,575 classes it has 125.7 MiB (126).
"Thinner-deeper" is read as the same stages with fewer channels, and blocks shared out as in the teacher, all three at a
quarter of its multiply-adds (529, 533 and 544 M), just under the 570 M of the poster's 5-layer student:

- 27 layers: first width 16 in place of 32, blocks 1, 2, 5, 3
- 43 layers: first width 13, blocks 2, 3, 9, 5
- 53 layers: first width 12, blocks 2, 4, 11, 7
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.networks.trunk import Trunk


class Convolution(nn.Sequential):
    """3x3 convolution, batch norm and PReLU."""

    def __init__(self, channels_in: int, channels: int, padding: int = 1) -> None:
        convolution = nn.Conv2d(channels_in, channels, 3, padding=padding, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(channels), nn.PReLU(channels))


class Opening(nn.Module):
    """The first layer of a stage: unpadded convolution and 2x2 max pooling.

    A map under 4 px, of an image under 48, is padded, or pooling would have nothing left.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.convolution = Convolution(channels_in, channels, padding=0)
        self.maxpool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < 4:
            x = F.pad(x, (1, 1, 1, 1))
        return self.maxpool(self.convolution(x))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two convolutions with their PReLUs, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution1, self.convolution2 = Convolution(channels, channels), Convolution(channels, channels)
        # Each block starts as its shortcut, as in ResNet50.
        nn.init.zeros_(self.convolution2.get_parameter("1.weight"))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution2(self.convolution1(x))  # type: ignore[no-any-return]


class FaceResNet(Trunk):
    """first: channels of the first convolution; all others are multiples of it. blocks: of the four stages.

    The maps are those of the four stages, 2, 4, 8 and 16 times as wide as the first. Images from 32 px.
    """

    def __init__(self, first: int, blocks: tuple[int, int, int, int], embedding: int = 0) -> None:
        widths = (2 * first, 4 * first, 8 * first, 16 * first)
        super().__init__(widths, smallest_side=32, embedding=embedding)
        self.stem = nn.Sequential(Convolution(3, first, 0), Convolution(first, widths[0], 0), nn.MaxPool2d(2))
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, blocks, strict=True)):
            opening = [Opening(widths[i - 1], width)] if i else []
            self.stages.append(nn.Sequential(*opening, *(Residual(width) for _ in range(depth))))
