"""Folding: a frozen network computes its batch norms inside its convolutions, which gives the same function faster."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facedistill.learning.networks.trunk import Embedder


def fold_batch_norm(trunk: Embedder) -> None:
    """Fold each batch norm that follows a convolution into that convolution, in place.

    The trunk must be in evaluation mode. A batch norm that comes before a convolution, as on the raw input and in
    DenseNet, stays: the zeros of that convolution's padding do not pass through the batch norm.
    """
    for module in trunk.modules():
        parts = list(module.named_children())
        for (name, part), (after, norm) in pairwise(parts):
            if isinstance(part, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(part, norm))
                # A batch norm of timm contains the activation that follows it.
                setattr(module, after, getattr(norm, "act", nn.Identity()))
