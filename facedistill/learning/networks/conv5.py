"""The 5-layer convolutional student of the Fujitsu poster (Wang et al. 2018, https://doi.org/10.1109/ICIP.2018.8451808)."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from facedistill.learning.networks.face_resnet import Convolution
from facedistill.learning.networks.trunk import Trunk

WIDTHS = (96, 96, 192, 384, 768)


class Conv5(Trunk):
    """Five 3x3 convolutions with batch norm and PReLU, and 2x2 max pooling between them. Images have 16 px or more.

    The poster prints "1.5x teacher model channel number", 570 M multiply-adds and 27 MB. We read this as one layer for
    each of the teacher's stages (64, 64, 128, 256 and 512 channels; see face_resnet.py), 1.5 times as wide. Such a
    network makes 585 M multiply-adds at 112 x 96. It has 27.1 MiB if a fifth pooling and 512 outputs on the flattened
    3 x 3 map follow, and if its classes are not counted; the teacher's printed size fits only with its classes.

    Two things differ here: global average pooling takes the place of the flattened layer, as in every trunk, and batch
    norm is ours. The first layer is the stem; the maps are the outputs of the other four layers.
    """

    def __init__(self, embedding: int = 0) -> None:
        super().__init__(WIDTHS[1:], smallest_side=16, embedding=embedding)
        self.stem = Convolution(3, WIDTHS[0])
        self.stages = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), Convolution(a, b)) for a, b in pairwise(WIDTHS))
