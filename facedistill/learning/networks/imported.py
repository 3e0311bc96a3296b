"""The trunk of an imported teacher: it takes our crops whole, and its K has one unit, whatever the network."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.networks.trunk import Embedder, Features, Trunk


class ImportedTrunk(Embedder):
    """K = e / deviation, where e is the embedding of a network that was trained elsewhere.

    Networks differ in the length of their embeddings by factors of 20. K has a mean variance of 1 over the training
    crops, so the same weight of Ψ suits all of them. Angles stay as they are in e: the mean is not subtracted, because
    that would change which faces are alike.

    deviation: (), the root of the mean variance of e over its dimensions.
    """

    whole = True
    deviation: Tensor

    def __init__(self, width: int, map_widths: tuple[int, ...] = ()) -> None:
        super().__init__(width, map_widths)
        self.register_buffer("deviation", torch.ones(()))

    @abstractmethod
    def raw(self, images: Tensor) -> Features:
        """Return e, and the maps that the network gives.

        images: (N, 3, side, side), whole crops that are aligned to ArcFace's template.
        """

    def forward(self, images: Tensor) -> Features:
        found = self.raw(images)
        return Features(found.hidden / self.deviation, found.maps)


class ModelTrunk(ImportedTrunk):
    """A trunk of this project's own networks that another run has trained.

    All runs align to one template. So a crop is only brought to the side of the crops of that run, and the network gets
    the middle of it.

    pixels: the side of the crops of that run.
    input: the side of the middle part.
    """

    def __init__(self, network: Trunk, pixels: int, input: int) -> None:
        super().__init__(network.width, network.map_widths)
        self.network, self.pixels, self.input = network, pixels, input

    def raw(self, images: Tensor) -> Features:
        if images.shape[-1] != self.pixels:
            images = F.interpolate(images, size=(self.pixels, self.pixels), mode="bilinear", antialias=True)
        start = (self.pixels - self.input) // 2
        found: Features = self.network(images[..., start : start + self.input, start : start + self.input])
        return found
