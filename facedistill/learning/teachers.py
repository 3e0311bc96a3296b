"""The frozen teachers of a recipe, and the classifier that a student may inherit from its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from facedistill.learning.device import place
from facedistill.learning.losses.equation5 import Targets
from facedistill.learning.model_files import ModelError, load
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.recipe import Recipe


class Teachers:
    """The teacher of H (and of μ) and the teacher of Ψ. Each is loaded only if one of the recipes needs it.

    They are in evaluation mode and take no gradient. They are not part of the student, and are never saved. If both are
    the same model, it sees each batch once.

    soft, hidden: the folders of the two teachers; None for no such teacher.
    """

    def __init__(self, recipes: Sequence[Recipe], soft: Path | None, hidden: Path | None, device: torch.device) -> None:
        self.soft = _frozen(soft, device) if soft and any(recipe.needs_soft_teacher for recipe in recipes) else None
        self.hidden: FaceNetwork | None = None
        if hidden and any(recipe.beta > 0 for recipe in recipes):
            self.hidden = self.soft if self.soft and hidden == soft else _frozen(hidden, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Targets:
        """Return the outputs of each teacher for (N, 3, H, W) uint8 images."""
        soft = self.soft(images) if self.soft else None
        hidden = soft if self.hidden is self.soft else self.hidden(images) if self.hidden else None
        return Targets(soft, hidden)


def _frozen(folder: Path, device: torch.device) -> FaceNetwork:
    network = load(folder).eval().requires_grad_(False)
    fold_batch_norm(network.trunk)
    place(network, device)
    return network


def inherit_classifier(student: FaceNetwork, folder: Path | None) -> None:
    """Give `student` the classifier of the model in `folder`, which holds its class centres, and freeze it.

    This is ProxylessKD (Shi et al. 2020, https://arxiv.org/abs/2011.00265).

    Raises ModelError if there is no such model, if one of the two has no classifier, or if they differ in the classes,
    the width of K or the scale of the logits.
    """
    if not folder:
        raise ModelError("classifier: teacher needs a teacher to inherit from")
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
