"""A face network: a trunk with the heads that a task needs."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.columns import ALL, Columns
from facedistill.learning.networks.registry import build_embedder
from facedistill.learning.parameters import AnyNetwork


class Outputs(NamedTuple):
    """The outputs of one forward pass, in float32 even under autocast (except `maps`).

    hidden: K, (N, width), the layer under the classifier.
    maps: the last map, (N, C, h, w), at each resolution of the trunk, in autocast's type; the coarsest comes last.
    logits: a, (N, classes); None without an identity head.
    landmarks: R = fc(K), (N, 5, 2) in units of the crop's side; None without a landmark head.
    columns: the classes that the logits have a column for.
    """

    hidden: Tensor
    maps: tuple[Tensor, ...]
    logits: Tensor | None
    landmarks: Tensor | None
    columns: Columns = ALL


class CosineHead(nn.Linear):
    """A cosine classifier: K, (N, width), to s · cos θ, (N, classes).

    θ is the angle between K and a class centre; the centres are the rows of `weight`, (classes, width).
    """

    def __init__(self, width: int, classes: int, scale: float) -> None:
        super().__init__(width, classes, bias=False)
        self.scale = scale

    def forward(self, hidden: Tensor) -> Tensor:
        # We compute in float32: the angle of a bf16 cosine near 1 would be wrong by degrees.
        with torch.autocast(hidden.device.type, enabled=False):
            return self.scale * F.linear(F.normalize(hidden.float()), F.normalize(self.weight))


def identity_head(width: int, classes: int, scale: float) -> nn.Linear:
    """Make a classifier with random weights. scale: s of a cosine classifier; 0 for a linear one."""
    return CosineHead(width, classes, scale) if scale else nn.Linear(width, classes)


class LandmarkHead(nn.Linear):
    """Turns K, (N, width), into R = fc(K), landmarks (N, 5, 2) in units of the crop's side.

    Landmarks are about a tenth of the side away from the centre, and |K| grows with the root of its width. The factors
    in `forward` account for both, so the learning rate of the trunk suits this layer's weights.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 10)

    def forward(self, hidden: Tensor) -> Tensor:
        # We compute in float32: bf16 coordinates would be wrong by a fraction of a pixel.
        with torch.autocast(hidden.device.type, enabled=False):
            return 0.5 + 0.1 * super().forward(hidden.float() * self.in_features**-0.5).view(-1, 5, 2)


class FaceNetwork(nn.Module):
    """Turns images, (N, 3, H, W) RGB from 0 to 255, into Outputs.

    network: the trunk to build, or an imported teacher.
    classes: identities of the identity head; 0 for a network without one.
    landmarks: whether there is a landmark head.
    scale: s of a cosine classifier, which has the logits s · cos θ; 0 for a linear classifier.

    Its attribute `columns` says which classes its logits have: all, unless the classifier has been cut into shards.
    """

    def __init__(
        self,
        network: AnyNetwork,
        classes: int = 0,
        landmarks: bool = False,
        scale: float = 0.0,
    ) -> None:
        super().__init__()
        self.params, self.scale = network, scale
        self.trunk = build_embedder(network)
        self.identity = identity_head(self.trunk.width, classes, scale) if classes else None
        self.landmarks = LandmarkHead(self.trunk.width) if landmarks else None
        self.columns = ALL

    @property
    def classes(self) -> int:
        """The number of identities of the classifier; 0 without a classifier."""
        return self.identity.out_features if self.identity else 0

    def forward(self, images: Tensor) -> Outputs:
        hidden, maps = self.trunk(images.float())
        logits = self.columns.logits(self.identity, hidden).float() if self.identity else None
        landmarks = self.landmarks(hidden) if self.landmarks else None
        return Outputs(hidden.float(), maps, logits, landmarks, self.columns)
