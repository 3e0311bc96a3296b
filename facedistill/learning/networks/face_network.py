"""A trunk with the heads that a task needs."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.networks.registry import build_trunk
from facedistill.learning.parameters import NetworkParams


class Outputs(NamedTuple):
    """What one pass through a network gives, in float32 also under autocast; None where it has no such head.

    hidden: (N, width) the layer under the classifier, K.
    maps: the last (N, C, h, w) at each resolution of the trunk, coarse ones last, as autocast left them.
    logits: (N, classes), a. landmarks: (N, 5, 2) in units of the crop's side, R = fc(K).
    """

    hidden: Tensor
    maps: tuple[Tensor, ...]
    logits: Tensor | None
    landmarks: Tensor | None


class CosineHead(nn.Linear):
    """s · cos θ between K, (N, width), and each class centre, (classes, width) rows of `weight`: (N, classes)."""

    def __init__(self, width: int, classes: int, scale: float) -> None:
        super().__init__(width, classes, bias=False)
        self.scale = scale

    def forward(self, hidden: Tensor) -> Tensor:
        # A cosine near 1 in bf16 would be off by degrees.
        with torch.autocast(hidden.device.type, enabled=False):
            return self.scale * F.linear(F.normalize(hidden.float()), F.normalize(self.weight))


class LandmarkHead(nn.Linear):
    """R = fc(K), (N, width) to (N, 5, 2), in units of the crop's side.

    Landmarks lie about a tenth of the side around the centre, and |K| grows with the root of its width. Taken out of
    the weights, both leave a layer that the trunk's learning rate suits.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 10)

    def forward(self, hidden: Tensor) -> Tensor:
        # Coordinates in bf16 would be off by a fraction of a pixel.
        with torch.autocast(hidden.device.type, enabled=False):
            return 0.5 + 0.1 * super().forward(hidden.float() * self.in_features**-0.5).view(-1, 5, 2)


class FaceNetwork(nn.Module):
    """Images (N, 3, H, W), RGB, 0 to 255, to Outputs. `classes` is 0 for a network without an identity head.

    scale: s of a cosine classifier, whose logits are s · cos θ; 0 for a linear one.
    """

    def __init__(self, network: NetworkParams, classes: int = 0, landmarks: bool = False, scale: float = 0.0) -> None:
        super().__init__()
        self.params, self.scale = network, scale
        self.trunk = build_trunk(network)
        self.identity: nn.Linear | None = None
        if classes:
            width = self.trunk.width
            self.identity = CosineHead(width, classes, scale) if scale else nn.Linear(width, classes)
        self.landmarks = LandmarkHead(self.trunk.width) if landmarks else None

    @property
    def classes(self) -> int:
        """Number of identities of the classifier, 0 without one."""
        return self.identity.out_features if self.identity else 0

    def forward(self, images: Tensor) -> Outputs:
        hidden, maps = self.trunk(images.float())
        logits = self.identity(hidden).float() if self.identity else None
        landmarks = self.landmarks(hidden) if self.landmarks else None
        return Outputs(hidden.float(), maps, logits, landmarks)
