"""The frozen teachers of a recipe, and the classifier that a student may inherit from its teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from facedistill.crops import DataError
from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256
from facedistill.learning.batches import Batch
from facedistill.learning.columns import ALL, Columns
from facedistill.learning.device import in_bf16, place
from facedistill.learning.losses.equation5 import Targets
from facedistill.learning.model_files import ModelError, classifier, load, load_state, network_sha256
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.learning.networks.trunk import Embedder
from facedistill.learning.parameters import Precision
from facedistill.learning.teachers.answers import Answers
from facedistill.recipe import Recipe


@dataclass(frozen=True)
class Guide:
    """A teacher to learn from.

    model: its folder.
    answers: the folder with its stored answers; None to ask it for every batch.
    """

    model: Path
    answers: Path | None = None


Cut = Callable[[nn.Linear | None], Columns]
"""Cuts a classifier into shards, or leaves it whole, and returns the columns of its logits."""


class Teacher(Protocol):
    """A frozen teacher.

    trunk: its embedder, for the width of K and of its maps.
    columns: the classes of its logits.
    """

    trunk: Embedder
    columns: Columns

    def __call__(self, batch: Batch) -> Outputs: ...


class Teachers:
    """The teacher of H (and of μ) and the teacher of Ψ. Each is loaded only if one of the recipes needs it.

    They are in evaluation mode and take no gradient. They are not part of the student, and are never saved. If both are
    the same model, it sees each batch once. It is called under the autocast of `precision`.

    soft, hidden: the two teachers; None for no such teacher.
    cut: cuts their classifiers into shards, as `Process.cut` does.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        soft: Guide | None,
        hidden: Guide | None,
        device: torch.device,
        precision: Precision,
        cut: Cut = lambda _: ALL,
    ) -> None:
        needed = soft and any(recipe.needs_soft_teacher for recipe in recipes)
        self.soft = _open(soft, device, precision, cut) if soft and needed else None
        self.hidden: Teacher | None = None
        if hidden and any(recipe.beta > 0 for recipe in recipes):
            self.hidden = self.soft if self.soft and hidden == soft else _open(hidden, device, precision, cut)

    @property
    def see_whole(self) -> bool:
        """Whether one of them looks at whole crops."""
        return any(teacher.trunk.whole for teacher in (self.soft, self.hidden) if teacher)

    def check(self, crops: Crops) -> None:
        """Raises DataError if stored answers are those to other crops."""
        for teacher in (self.soft, self.hidden):
            if isinstance(teacher, Stored):
                teacher.check(crops)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Targets:
        """Return the outputs of each teacher for a batch."""
        soft = self.soft(batch) if self.soft else None
        hidden = soft if self.hidden is self.soft else self.hidden(batch) if self.hidden else None
        return Targets(soft, hidden)


class Online:
    """A teacher that looks at every batch.

    precision: of the autocast under which it is called.
    """

    def __init__(self, folder: Path, device: torch.device, precision: Precision, cut: Cut = lambda _: ALL) -> None:
        network = load(folder).eval().requires_grad_(False)
        network.columns = self.columns = cut(network.identity)
        fold_batch_norm(network.trunk)
        place(network, device)
        if in_bf16(device, precision):
            # Autocast would round the same frozen weights in every step. Other layers stay in float32 under it.
            for module in network.trunk.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    module.bfloat16()
        self.network: FaceNetwork = network
        self.trunk = network.trunk

    def __call__(self, batch: Batch) -> Outputs:
        images = batch.whole if self.trunk.whole else batch.images
        assert images is not None
        found: Outputs = self.network(images)
        return found


class Stored:
    """A teacher whose answers for each crop and its mirror image are stored. Its trunk is not loaded.

    K is the mean of the answers for a crop and for its mirror image, whichever of them a student sees: a better K than
    one of the two, and the same for both. The answers are of the middle of a crop, while a student sees random parts.

    Raises DataError if the answers are damaged, and ModelError if they are not the answers of this model.
    """

    def __init__(self, folder: Path, answers: Path, device: torch.device, cut: Cut = lambda _: ALL) -> None:
        self._answers = Answers(answers)
        if (of := self._answers.key["model"]) != (network := network_sha256(folder)):
            raise ModelError(
                f"{answers}: answers of the model {of[:12]}…, but {folder} is {network[:12]}…; `dvc repro` asks again"
            )
        state = load_state(folder)
        # K of an imported teacher is what its file says, in units of its deviation.
        self._deviation = state.get("trunk.deviation", torch.ones(())).to(device)
        head = classifier(folder, state)
        self.columns = cut(head)
        self._head = head.to(device).requires_grad_(False) if head else None
        self._device, self.trunk = device, Embedder(self._answers.width)

    def check(self, crops: Crops) -> None:
        """Raises DataError if these are answers to other crops."""
        if self._answers.key["crops"] != sha256(crops.folder / INDEX) or len(self._answers) != len(crops):
            raise DataError(
                f"{self._answers.folder}: answers to other crops than {crops.folder}; `dvc repro` asks again"
            )

    def __call__(self, batch: Batch) -> Outputs:
        both = torch.from_numpy(self._answers[batch.rows.cpu().numpy()]).to(self._device)
        hidden = both.float().mean(1) / self._deviation
        logits = self.columns.logits(self._head, hidden).float() if self._head else None
        return Outputs(hidden, (), logits, None, self.columns)


def _open(guide: Guide, device: torch.device, precision: Precision, cut: Cut) -> Teacher:
    if guide.answers:
        return Stored(guide.model, guide.answers, device, cut)
    return Online(guide.model, device, precision, cut)


def inherit_classifier(student: FaceNetwork, folder: Path | None) -> None:
    """Give `student` the classifier of the model in `folder`, which holds its class centres, and freeze it.

    This is ProxylessKD (Shi et al. 2020, https://arxiv.org/abs/2011.00265).

    Raises ModelError if there is no such model, if one of the two has no classifier, or if they differ in the classes,
    the width of K or the scale of the logits.
    """
    if not folder:
        raise ModelError("classifier: teacher needs a teacher to inherit from")
    teacher = classifier(folder, load_state(folder))
    ours, theirs = _described(student.identity), _described(teacher)
    if student.identity is None or teacher is None or ours != theirs:
        raise ModelError(f"{folder}: cannot inherit its classifier: the teacher has {theirs}, the student {ours}")
    student.identity.load_state_dict(teacher.state_dict())
    student.identity.requires_grad_(False)


def _described(classifier: torch.nn.Linear | None) -> str:
    if classifier is None:
        return "none"
    scale = getattr(classifier, "scale", 0)
    kind = f"cosines times {scale:g}" if scale else "dot products"
    return f"one of {classifier.out_features} people, by {kind}, on a hidden layer {classifier.in_features} wide"
