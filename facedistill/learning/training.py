"""Training, from parameters to saved models: networks learn by their recipes on the crops of one task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facedistill.crops import DataError
from facedistill.crops.shards import INDEX, Crops
from facedistill.files import sha256
from facedistill.learning import model_files
from facedistill.learning.batches import BatchSampler, IdentityBatches, ShuffledBatches, TrainingCrops
from facedistill.learning.curves import Curves
from facedistill.learning.device import be_deterministic, choose_device, place
from facedistill.learning.loop import train
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import (
    ArchitectureParams,
    EquationParams,
    LoaderParams,
    NetworkParams,
    OptimisationParams,
    ProcessParams,
    SnapshotParams,
    TaskParams,
    TrainingParams,
)
from facedistill.learning.processes import join
from facedistill.learning.snapshots import Snapshots
from facedistill.learning.student import Objective, Student
from facedistill.learning.teachers import Teachers, inherit_classifier
from facedistill.outside import code
from facedistill.params import check
from facedistill.paths import CROPS
from facedistill.recipe import Recipe


def trained_on(model: Path) -> TaskParams:
    """The task of the model in that folder, as its record says. Raises ModelError or ParamsError where it is none."""
    task: TaskParams = check(
        TaskParams, model_files.read_record(model).get("task"), f"{model / model_files.RECORD}: task"
    )
    return task


@dataclass(frozen=True)
class Plan:
    """One network to train. model: the folder to save it in. start: folder of the model that `recipe.start` names."""

    model: Path
    recipe: Recipe
    start: Path | None = None


def rounds(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
    """The plans in their order, in runs that train together: at one rate, none from the end of another of its run."""
    run: list[Plan] = []
    for plan in plans:
        if run and (plan.recipe.rate_name != run[0].recipe.rate_name or plan.start in [p.model for p in run]):
            yield run
            run = []
        run.append(plan)
    if run:
        yield run


def train_networks(
    plans: Sequence[Plan],
    task: TaskParams,
    network: ArchitectureParams,
    equation: EquationParams,
    optimisation: OptimisationParams,
    training: TrainingParams,
    loader: LoaderParams,
    processes: ProcessParams,
    snapshots: SnapshotParams,
    workspace: Path,
    seed: int,
    soft_teacher: Path | None = None,
    hidden_teacher: Path | None = None,
) -> dict[str, Any]:
    """Train one network by each plan, on the same batches, and save each with its loss curves.

    `soft_teacher` gives P_T^τ and `hidden_teacher` K_T. What a network becomes does not depend on the others. A run
    that was stopped goes on from its last snapshot in `workspace`. Where `processes` asks for several, each of them
    calls this function, and they train together. Returns where the time went: JSON values under the folder of the
    first network; an empty dictionary in a process that writes no files.

    Raises ModelError for a start or a teacher that is missing, damaged or of another network or class list,
    DataError where there are no crops, alignment has some without landmarks, or another task has fewer than two people,
    and RuntimeError where `training.deterministic` is set and an operation has no deterministic algorithm.
    """
    be_deterministic(training.deterministic)
    process = join(processes)
    device = choose_device()
    crops = Crops(CROPS / task.dataset, "train")
    if not len(crops):
        raise DataError(f"{crops.folder}: no crops on the training side to learn from; is the set one for pairs alone?")
    if task.phi != "landmarks" and len(crops.classes) < 2:
        raise DataError(f"{crops.folder}: {len(crops.classes)} people on the training side; to tell apart it takes two")
    if task.phi == "landmarks" and (unknown := int(np.isnan(crops.landmarks).any((1, 2)).sum())):
        raise DataError(f"{crops.folder}: {unknown} of {len(crops)} training crops have no landmarks to learn from")
    data = TrainingCrops(crops, task.input, seed, training.augmentation, loader.cache_mb)
    if task.per_identity:
        sampler: BatchSampler = IdentityBatches(crops.labels, task.batch, task.per_identity, seed)
    else:
        sampler = ShuffledBatches(len(crops), task.batch, seed)
    batches = data.batches(process.shard(sampler), loader.workers)
    teachers = Teachers([plan.recipe for plan in plans], soft_teacher, hidden_teacher, device)
    data_record = {
        "dataset": task.dataset,
        "photographs": len(crops),
        "sha256": sha256(crops.folder / INDEX),
        "class_list": _class_list(crops),
    }
    records: list[dict[str, Any]] = [
        {
            "model": str(plan.model),
            "task": asdict(task),
            "recipe": asdict(plan.recipe),
            "equation": asdict(equation),
            "optimisation": asdict(optimisation),
            "seed": seed,
            "data": data_record,
        }
        for plan in plans
    ]
    sources = [source and model_files.read_record(source)["sha256"] for source in (soft_teacher, hidden_teacher)]
    sources += [plan.start and model_files.read_record(plan.start)["sha256"] for plan in plans]
    asked = [teacher.params.architecture for teacher in (teachers.soft, teachers.hidden) if teacher]
    own = code(network.architecture, *asked, *(name for plan in plans for name in plan.recipe.outside))
    kept = Snapshots(workspace, [records, asdict(network), asdict(training), sources, own], snapshots, process)

    with ExitStack() as logs:
        students = []
        for plan in plans:
            torch.manual_seed(seed)
            student = FaceNetwork(
                NetworkParams(network.architecture, network.divisor, task.embedding),
                classes=_classes(plan.recipe, crops, soft_teacher),
                landmarks=task.phi == "landmarks",
                scale=equation.scale if task.margin_softmax else 0.0,
            )
            if plan.start:
                model_files.warm_start(student, plan.start)
            if plan.recipe.classifier == "teacher":
                inherit_classifier(student, soft_teacher)
            loss = Equation5(plan.recipe, equation, student, teachers.hidden, process.gather)
            place(student, device).train()
            loss.to(device).train()
            optimiser = Nesterov(
                [*student.parameters(), *loss.parameters()], optimisation.momentum, optimisation.weight_decay
            )
            objective = process.objective(Objective(student, loss, training.precision))
            curves = logs.enter_context(Curves(plan.model if process.is_main else None, training.log_every))
            students.append(Student(str(plan.model), student, loss, objective, optimiser, curves))
        timing = train(students, teachers, sampler, batches, optimisation, device, training.precision, kept)

    world_size = processes.world_size
    several = {"processes": world_size, "batch_norm": processes.batch_norm} if world_size > 1 else {}
    for plan, trained, record in zip(plans, students, records, strict=True):
        if process.is_main:
            model_files.save(plan.model, trained.network, record | several | {"last_epoch": trained.means})
    # The next networks may start from these.
    process.barrier()
    return {str(plans[0].model): {"networks": len(plans)} | timing.metrics()} if process.is_main else {}


def _classes(recipe: Recipe, crops: Crops, soft_teacher: Path | None) -> int:
    """Width of the classifier: the soft teacher's, whose classes it learns, else that of the crops; 0 for none."""
    if not recipe.needs_identity:
        return 0
    if not (soft_teacher and (recipe.needs_soft_teacher or recipe.classifier == "teacher")):
        return len(crops.classes)
    record = model_files.read_record(soft_teacher)
    classes = int(record["classes"])
    if recipe.learns_classes and classes != len(crops.classes):
        raise model_files.ModelError(
            f"{soft_teacher}: a classifier of {classes} people, but {crops.folder} has {len(crops.classes)}; "
            "train the teacher again"
        )
    if recipe.learns_classes and record.get("data", {}).get("class_list") != _class_list(crops):
        raise model_files.ModelError(
            f"{soft_teacher}: a classifier of {classes} other people than those of {crops.folder}, or of these in "
            "another order; train the teacher again"
        )
    return classes


def _class_list(crops: Crops) -> str:
    """A digest of who the classes are, in their order."""
    return hashlib.sha256(json.dumps(crops.classes).encode()).hexdigest()
