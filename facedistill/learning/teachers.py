"""The frozen teachers of a recipe, and the classifier that a student may inherit from one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from facedistill.learning.checkpoint import ModelError, load
from facedistill.learning.device import place
from facedistill.learning.losses.equation5 import Targets
from facedistill.learning.losses.recipe import Recipe
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.fold import fold_batch_norm


class Teachers:
    """The teacher of H (and of μ) and the teacher of Ψ, loaded only where the recipe asks them about each batch.

    They are in evaluation mode, take no gradient, are no part of the student, and are never saved. Where both are one
    model, it sees a batch once.
    """

    def __init__(self, recipe: Recipe, soft: Path | None, hidden: Path | None, device: torch.device) -> None:
        self.soft = _frozen(soft, device) if soft and recipe.needs_soft_teacher else None
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


def inherit_classifier(student: FaceNetwork, folder: Path) -> None:
    """Give `student` the classifier of the model in `folder`, its class centres, and freeze it (ProxylessKD).

    Raises ModelError where either has none, or they differ in the classes, the width of K or the scale of the logits.
    """
    teacher = load(folder)
    ours, theirs = _classifier(student), _classifier(teacher)
    if student.identity is None or teacher.identity is None or ours != theirs:
        raise ModelError(f"{folder}: cannot inherit its classifier: the teacher has {theirs}, the student {ours}")
    student.identity.load_state_dict(teacher.identity.state_dict())
    student.identity.requires_grad_(False)


def _classifier(network: FaceNetwork) -> str:
    if network.identity is None:
        return "none"
    kind = f"cosines times {network.scale:g}" if network.scale else "dot products"
    return f"one of {network.classes} people, by {kind}, on a hidden layer {network.trunk.width} wide"
