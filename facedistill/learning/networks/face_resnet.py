"""The face-recognition ResNet-27 of Wen et al., and the thinner and deeper versions of it in the Fujitsu poster.

Wen et al. 2016 (the center loss), https://doi.org/10.1007/978-3-319-46478-7_31. Their network has 27 convolutions of
3x3, each followed by a PReLU:

- The stem has two convolutions, of 32 and 64 channels, and 2x2 max pooling.
- Four stages of 64, 128, 256 and 512 channels follow, with 1, 2, 5 and 3 residual blocks of two convolutions.
- Every stage but the first opens with one more convolution and 2x2 max pooling.
- A convolution that changes the number of channels has no padding.

We changed two things. Batch norm follows each convolution, because without it the network does not train from random
weights at a rate of 0.1. Global average pooling replaces the layer of 512 outputs on the flattened 5 x 4 map, as in
every trunk; it is 512 wide too.

The Fujitsu poster (Wang et al. 2018, https://doi.org/10.1109/ICIP.2018.8451808) prints neither channels nor blocks. We
conclude from its Table 1 that this network is its teacher: at 112 x 96 it makes 2,108 M multiply-adds (printed: 2,049),
and with the flattened layer and 10,575 classes it has 125.7 MiB (printed: 126). We read "thinner-deeper" as the same
stages with fewer channels, and with the blocks in about the teacher's proportions. All three make about a quarter of
the teacher's multiply-adds (529, 533 and 544 M), a little less than the 570 M of the poster's 5-layer student:

- 27 layers: first width 16 instead of 32, blocks 1, 2, 5, 3
- 43 layers: first width 13, blocks 2, 3, 9, 5
- 53 layers: first width 12, blocks 2, 4, 11, 7
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.networks.batch_norm import BatchNorm
from facedistill.learning.networks.trunk import Trunk


class Convolution(nn.Sequential):
    """A 3x3 convolution, batch norm and PReLU."""

    def __init__(self, channels_in: int, channels: int, padding: int = 1) -> None:
        convolution = nn.Conv2d(channels_in, channels, 3, padding=padding, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(convolution, BatchNorm(channels), nn.PReLU(channels))


class Opening(nn.Module):
    """The first layer of a stage: a convolution without padding, and 2x2 max pooling.

    A map under 4 px (from an image under 48 px) is padded, because nothing would be left to pool.
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
        # Each block starts as the identity, as in ResNet50.
        nn.init.zeros_(self.convolution2.get_parameter("1.weight"))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution2(self.convolution1(x))  # type: ignore[no-any-return]


class FaceResNet(Trunk):
    """The maps are the outputs of the four stages, 2, 4, 8 and 16 times as wide as `first`. Images have 32 px or more.

    first: the channels of the first convolution; all other widths are multiples of it.
    blocks: the residual blocks of each of the four stages.
    """

    def __init__(self, first: int, blocks: tuple[int, int, int, int], embedding: int = 0) -> None:
        widths = (2 * first, 4 * first, 8 * first, 16 * first)
        super().__init__(widths, smallest_side=32, embedding=embedding)
        self.stem = nn.Sequential(Convolution(3, first, 0), Convolution(first, widths[0], 0), nn.MaxPool2d(2))
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, blocks, strict=True)):
            opening = [Opening(widths[i - 1], width)] if i else []
            self.stages.append(nn.Sequential(*opening, *(Residual(width) for _ in range(depth))))
