"""Training, from parameters to saved models. Networks learn by their recipes on the crops of one task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from facedistill.crops import DataError
from facedistill.crops.shards import Crops
from facedistill.learning import model_files
from facedistill.learning.batches import BatchSampler, IdentityBatches, ShuffledBatches, TrainingCrops
from facedistill.learning.curves import Curves
from facedistill.learning.device import be_deterministic, choose_device, place
from facedistill.learning.feed import Feed
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
from facedistill.learning.teachers import Guide, Teachers, inherit_classifier
from facedistill.learning.training_set import class_list, data_record, training_crops
from facedistill.outside import code, is_outside
from facedistill.params import PARAMS_FILE, ParamsError, check
from facedistill.recipe import Recipe


def trained_on(model: Path) -> TaskParams:
    """The task of the model in a folder, from its record. Raises ModelError or ParamsError if it has none."""
    task: TaskParams = check(
        TaskParams, model_files.read_record(model).get("task"), f"{model / model_files.RECORD}: task"
    )
    return task


@dataclass(frozen=True)
class Plan:
    """One network to train.

    model: the folder to save it in.
    recipe: the recipe that trains it.
    start: the folder of the model that `recipe.start` names; None for random weights.
    """

    model: Path
    recipe: Recipe
    start: Path | None = None


def rounds(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
    """Split the plans, in their order, into runs that train together.

    All plans of a run have the same rate, and none starts from a model of its own run.
    """
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
    soft_teacher: Guide | None = None,
    hidden_teacher: Guide | None = None,
) -> dict[str, Any]:
    """Train one network for each plan, all on the same batches, and save each with its loss curves.

    `soft_teacher` gives P_T^τ and `hidden_teacher` K_T. No network depends on the others. A run that was stopped goes
    on from its last snapshot in `workspace`. If `processes` asks for several processes, each of them calls this
    function, and they train together. Returns the times as JSON values, with the folder of the first network as key;
    an empty dictionary in every process but the main one.

    Raises ModelError if a start or a teacher is missing or damaged, or has another network or class list. Raises
    DataError as `training_crops` does, if stored answers are damaged, and if a recipe needs names and there are not two
    people. Raises ParamsError if a Φ or Ψ of the user's own would see a shard of the classes. Raises RuntimeError if
    `training.deterministic` is set and an operation has no deterministic algorithm.
    """
    be_deterministic(training.deterministic)
    process = join(processes)
    device = choose_device()
    crops = training_crops(task, verify=process.is_main)
    if len(crops.classes) < 2 and (named := [plan for plan in plans if plan.recipe.needs_identity]):
        raise DataError(
            f"{crops.folder}: {len(crops.classes)} people on the training side, but {named[0].model} learns from "
            "names; it needs two people or more"
        )
    recipes = [plan.recipe for plan in plans]
    teachers = Teachers(recipes, soft_teacher, hidden_teacher, device, training.precision, process.cut)
    teachers.check(crops)
    data = TrainingCrops(
        crops, task.input, seed, training.augmentation, loader.cache_mb, teachers.see_whole, task.scatter
    )
    if task.per_identity:
        sampler: BatchSampler = IdentityBatches(crops.labels, task.batch, task.per_identity, seed)
    else:
        sampler = ShuffledBatches(len(crops), task.batch, seed)
    feed = Feed(data, process.shard(sampler), loader.threads, device)
    records: list[dict[str, Any]] = [
        {
            "model": str(plan.model),
            "task": asdict(task),
            "recipe": asdict(plan.recipe),
            "equation": asdict(equation),
            "optimisation": asdict(optimisation),
            "seed": seed,
            "data": data_record(crops),
        }
        for plan in plans
    ]
    guides = [guide for guide in (soft_teacher, hidden_teacher) if guide]
    models = [guide.model for guide in guides] + [plan.start for plan in plans if plan.start]
    sources = [model_files.read_record(model) for model in models]
    asked = [model_files.architecture(source) for source in sources]
    own = code(network.architecture, *asked, *(name for plan in plans for name in plan.recipe.outside))
    given = [[source["sha256"] for source in sources], [guide.answers is None for guide in guides]]
    kept = Snapshots(workspace, [records, asdict(network), asdict(training), given, own], snapshots, process)

    with ExitStack() as logs:
        students = []
        for plan in plans:
            torch.manual_seed(seed)
            inherited = soft_teacher.model if soft_teacher and plan.recipe.classifier == "teacher" else None
            scale = equation.scale if task.margin_softmax else 0.0
            student = FaceNetwork(
                NetworkParams(network.architecture, network.divisor, task.embedding),
                classes=_classes(plan.recipe, crops, soft_teacher),
                landmarks=task.phi == "landmarks",
                scale=model_files.read_record(inherited)["scale"] if inherited else scale,
            )
            if plan.start:
                model_files.warm_start(student, plan.start)
            if plan.recipe.classifier == "teacher":
                inherit_classifier(student, inherited)
            student.columns = process.cut(student.identity)
            psi_teacher = teachers.hidden.trunk if teachers.hidden else None
            loss = Equation5(plan.recipe, equation, student, psi_teacher, process.gather, seed)
            _refuse_shards(loss, student, teachers)
            place(student, device).train()
            loss.to(device).train()
            optimiser = Nesterov(
                [*student.parameters(), *loss.parameters()], optimisation.momentum, optimisation.weight_decay
            )
            objective = process.objective(Objective(student, loss, training.precision))
            curves = logs.enter_context(Curves(plan.model if process.is_main else None, training.log_every))
            students.append(Student(str(plan.model), student, loss, objective, optimiser, curves))
        with kept.saved_at_the_end():
            timing = train(students, teachers, sampler, feed, optimisation, device, training.precision, kept)

    world_size = processes.world_size
    several = {"processes": world_size, "batch_norm": processes.batch_norm} if world_size > 1 else {}
    for plan, trained, record in zip(plans, students, records, strict=True):
        weights = trained.weights()
        if process.is_main:
            model_files.save(plan.model, trained.network, record | several | {"last_epoch": trained.means}, weights)
    # The next networks may start from these models, so every process waits until they are saved.
    process.barrier()
    return {str(plans[0].model): {"networks": len(plans)} | timing.metrics()} if process.is_main else {}


def _refuse_shards(loss: Equation5, student: FaceNetwork, teachers: Teachers) -> None:
    """Raises ParamsError if a Φ or Ψ of the user's own would see logits of a part of the classes.

    Such a function sums over classes in its own way. A Ψ of the whole batch sees no logits.
    """
    partial = student.columns.partial or (teachers.hidden is not None and teachers.hidden.columns.partial)
    of_k = getattr(loss.psi, "whole_batch", False)
    for key, name, sees in (
        ("phi", loss.recipe.phi, student.columns.partial),
        ("psi", loss.recipe.psi, loss.psi is not None and partial and not of_k),
    ):
        if sees and is_outside(name):
            raise ParamsError(
                f"{PARAMS_FILE}: processes.shard_classes: the classifier would be cut, but {key}: {name} needs the "
                "logits of all classes; set processes.shard_classes to null, or train in one process"
            )


def _classes(recipe: Recipe, crops: Crops, soft_teacher: Guide | None) -> int:
    """The number of classes of a student's classifier; 0 for no classifier.

    If the recipe uses the soft teacher's classifier, the student has the same classes. If not, it has those of the
    crops. Raises ModelError if the two have to be the same people and are not.
    """
    if not recipe.needs_identity:
        return 0
    if not (soft_teacher and (recipe.needs_soft_teacher or recipe.classifier == "teacher")):
        return len(crops.classes)
    folder = soft_teacher.model
    record = model_files.read_record(folder)
    classes = int(record["classes"])
    if recipe.learns_classes and classes != len(crops.classes):
        raise model_files.ModelError(
            f"{folder}: it has a classifier of {classes} people, but {crops.folder} has {len(crops.classes)}; "
            "train the teacher again"
        )
    if recipe.learns_classes and record.get("data", {}).get("class_list") != class_list(crops):
        raise model_files.ModelError(
            f"{folder}: it has a classifier of {classes} people, but {crops.folder} has other people, or another "
            "order; train the teacher again"
        )
    return classes
