"""A frozen network computes its batch norms inside its convolutions: the same function, in less time."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facedistill.learning.networks.trunk import Trunk


def fold_batch_norm(trunk: Trunk) -> None:
    """Fold, in place, each batch norm that follows a convolution into it; the trunk must be in evaluation mode.

    That on the raw input stays: it comes before a convolution whose zero padding it does not see. So do those of
    DenseNet that come before their convolution.
    """
    for module in trunk.modules():
        parts = list(module.named_children())
        for (name, part), (after, norm) in pairwise(parts):
            if isinstance(part, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(part, norm))
                # timm's batch norm holds the activation that follows it.
                setattr(module, after, getattr(norm, "act", nn.Identity()))
