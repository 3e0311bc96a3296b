"""The 5-layer convolutional student of the Fujitsu poster."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from facedistill.learning.networks.face_resnet import Convolution
from facedistill.learning.networks.trunk import Trunk

WIDTHS = (96, 96, 192, 384, 768)


class Conv5(Trunk):
    """Five 3x3 convolutions with batch norm and PReLU, 2x2 max pooling between them. Images from 16 px.

    The poster prints "1.5x teacher model channel number", 570 M multiply-adds and 27 MB. Read here as one layer for
    each of the teacher's stages (64, 64, 128, 256 and 512 channels; see face_resnet.py), 1.5 times as wide: 585 M at
    112 x 96, and 27.1 MiB with 512 outputs on the flattened 3 x 3 map after a fifth pooling and no classes, though the
    teacher's figure fits only with them. Here that layer gives way to global average pooling, as in every trunk. Batch
    norm is ours. The first layer is the stem; the maps are those of the other four.
    """

    def __init__(self, embedding: int = 0) -> None:
        super().__init__(WIDTHS[1:], smallest_side=16, embedding=embedding)
        self.stem = Convolution(3, WIDTHS[0])
        self.stages = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), Convolution(a, b)) for a, b in pairwise(WIDTHS))
