"""One cell of a table: a network trained by one recipe on one task's data, from parameters to a saved model."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from facedistill.data.problems import DataError
from facedistill.data.shards import INDEX, Crops
from facedistill.files import sha256
from facedistill.learning import checkpoint
from facedistill.learning.augment import AugmentationParams
from facedistill.learning.batches import IdentityBatches, LoaderParams, ShuffledBatches, TrainingCrops
from facedistill.learning.curves import Curves
from facedistill.learning.device import Precision, choose_device
from facedistill.learning.loop import OptimisationParams, train
from facedistill.learning.losses.equation5 import Equation5, EquationParams
from facedistill.learning.losses.recipe import MARGIN_SOFTMAX, PhiName, Recipe
from facedistill.learning.networks import FaceNetwork, NetworkParams
from facedistill.learning.teachers import Teachers, inherit_classifier
from facedistill.params import params
from facedistill.paths import CROPS


@params
class TaskParams:
    """phi: the task's own loss. dataset: the crops that it trains on. input: side of the network's input, in pixels.

    batch: crops in a step; per_identity: how many of them show one person (0: as they come). embedding: width of the
    linear layer that every network of the task has over its pooled features, and that then is K; 0 for none.
    """

    phi: PhiName
    dataset: str
    input: Annotated[int, Field(ge=16)]
    batch: Annotated[int, Field(ge=2)]
    per_identity: Annotated[int, Field(ge=0)]
    embedding: Annotated[int, Field(ge=0)] = 0

    @property
    def margin_softmax(self) -> bool:
        """Whether its networks have a cosine classifier, which a margin on angles takes."""
        return self.phi in MARGIN_SOFTMAX


@params
class TrainingParams:
    """What all training shares: the augmentation, the precision, and the steps between the points of a step curve."""

    augmentation: AugmentationParams
    precision: Precision
    log_every: Annotated[int, Field(ge=1)]


def train_cell(
    model: Path,
    recipe: Recipe,
    task: TaskParams,
    network: NetworkParams,
    equation: EquationParams,
    optimisation: OptimisationParams,
    training: TrainingParams,
    loader: LoaderParams,
    seed: int,
    start: Path | None = None,
    soft_teacher: Path | None = None,
    hidden_teacher: Path | None = None,
) -> None:
    """Train one network and save it in the folder `model`, with its loss curves.

    `start` is the model that `recipe.start` names, `soft_teacher` gives P_T^τ and `hidden_teacher` K_T.

    Raises ModelError for a start or a teacher that is missing, damaged or of another network or class list, and
    DataError where alignment has crops without landmarks.
    """
    device = choose_device()
    torch.manual_seed(seed)

    crops = Crops(CROPS / task.dataset, "train")
    if task.phi == "landmarks" and (unknown := int(np.isnan(crops.landmarks).any((1, 2)).sum())):
        raise DataError(f"{crops.folder}: {unknown} of {len(crops)} training crops have no landmarks to learn from")
    student = FaceNetwork(
        replace(network, embedding=task.embedding),
        classes=_classes(recipe, crops, soft_teacher),
        landmarks=task.phi == "landmarks",
        scale=equation.scale if task.margin_softmax else 0.0,
    )
    if start:
        checkpoint.warm_start(student, start)
    if recipe.classifier == "teacher":
        if not soft_teacher:
            raise checkpoint.ModelError("classifier: teacher needs a teacher to inherit from")
        inherit_classifier(student, soft_teacher)
    teachers = Teachers(recipe, soft_teacher, hidden_teacher, device)
    loss = Equation5(recipe, equation, student, teachers.hidden)

    data = TrainingCrops(crops, task.input, seed, training.augmentation, loader.cache_mb)
    if task.per_identity:
        sampler: IdentityBatches | ShuffledBatches = IdentityBatches(crops.labels, task.batch, task.per_identity, seed)
    else:
        sampler = ShuffledBatches(len(crops), task.batch, seed)
    batches = data.batches(sampler, loader.workers)

    with Curves(model / "curves", training.log_every) as curves:
        means = train(student, loss, teachers, sampler, batches, optimisation, device, training.precision, curves)

    record = {
        "model": str(model),
        "task": asdict(task),
        "recipe": asdict(recipe),
        "equation": asdict(equation),
        "optimisation": asdict(optimisation),
        "seed": seed,
        "data": {"dataset": task.dataset, "photographs": len(crops), "sha256": sha256(crops.folder / INDEX)},
        "last_epoch": means,
    }
    checkpoint.save(model, student, record)


def _classes(recipe: Recipe, crops: Crops, soft_teacher: Path | None) -> int:
    """Width of the classifier: the soft teacher's, whose classes it learns, else that of the crops; 0 for none."""
    if not recipe.needs_identity:
        return 0
    if not (soft_teacher and (recipe.needs_soft_teacher or recipe.classifier == "teacher")):
        return len(crops.classes)
    classes = int(checkpoint.read_card(soft_teacher)["classes"])
    if recipe.learns_classes and classes != len(crops.classes):
        raise checkpoint.ModelError(
            f"{soft_teacher}: a classifier of {classes} people, but {crops.folder} has {len(crops.classes)}; "
            "train the teacher again"
        )
    return classes
