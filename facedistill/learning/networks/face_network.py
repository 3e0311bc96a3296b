"""A trunk with the heads that a task needs."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from facedistill.learning.networks.resnet import ResNet50
from facedistill.params import params


@params
class NetworkParams:
    """architecture and divisor: ResNet-50/k has every layer's kernels divided by k."""

    architecture: Literal["resnet50"]
    divisor: Annotated[int, Field(ge=1)] = 1


class Outputs(NamedTuple):
    """What one pass through a network gives, in float32 also under autocast; None where it has no such head.

    hidden: (N, width) the layer under the classifier, K.
    middle: (N, C, h, w) after the trunk's second stage, as autocast left it.
    logits: (N, classes), a. landmarks: (N, 5, 2) in units of the crop's side, R = fc(K).
    """

    hidden: Tensor
    middle: Tensor
    logits: Tensor | None
    landmarks: Tensor | None


class LandmarkHead(nn.Linear):
    """R = fc(K), (N, width) to (N, 5, 2), in units of the crop's side.

    Landmarks lie about a tenth of the side around the centre, and |K| grows with the root of its width. Taken out of
    the weights, both leave a layer that the trunk's learning rate suits.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 10)

    def forward(self, hidden: Tensor) -> Tensor:
        return 0.5 + 0.1 * super().forward(hidden * self.in_features**-0.5).view(-1, 5, 2)


class FaceNetwork(nn.Module):
    """Images (N, 3, H, W), RGB, 0 to 255, to Outputs. `classes` is 0 for a network without an identity head."""

    def __init__(self, network: NetworkParams, classes: int = 0, landmarks: bool = False) -> None:
        super().__init__()
        self.params = network
        self.trunk = ResNet50(network.divisor)
        self.identity = nn.Linear(self.trunk.width, classes) if classes else None
        self.landmarks = LandmarkHead(self.trunk.width) if landmarks else None

    @property
    def classes(self) -> int:
        """Number of identities of the classifier, 0 without one."""
        return self.identity.out_features if self.identity else 0

    def forward(self, images: Tensor) -> Outputs:
        hidden, middle = self.trunk(images.float())
        logits = self.identity(hidden).float() if self.identity else None
        # Coordinates in bf16 would be off by a fraction of a pixel.
        with torch.autocast(images.device.type, enabled=False):
            landmarks = self.landmarks(hidden.float()) if self.landmarks else None
        return Outputs(hidden.float(), middle, logits, landmarks)
