"""The frozen teachers of a recipe."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from facedistill.learning.checkpoint import load
from facedistill.learning.device import place
from facedistill.learning.losses.equation5 import Recipe, Targets
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.fold import fold_batch_norm


class Teachers:
    """The teacher of H and the teacher of Ψ, loaded only where the recipe weighs their term above 0.

    They are in evaluation mode, take no gradient, are no part of the student, and are never saved. Where both are one
    model, it sees a batch once.
    """

    def __init__(self, recipe: Recipe, soft: Path | None, hidden: Path | None, device: torch.device) -> None:
        self.soft = _frozen(soft, device) if soft and recipe.alpha > 0 else None
        self.hidden: FaceNetwork | None = None
        if hidden and recipe.beta > 0:
            self.hidden = self.soft if self.soft and hidden == soft else _frozen(hidden, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Targets:
        """What each teacher says of (N, 3, H, W) uint8 images."""
        soft = self.soft(images) if self.soft else None
        hidden = soft if self.hidden is self.soft else self.hidden(images) if self.hidden else None
        return Targets(soft, hidden)


def _frozen(folder: Path, device: torch.device) -> FaceNetwork:
    network = load(folder).eval().requires_grad_(False)
    fold_batch_norm(network.trunk)
    place(network, device)
    return network
