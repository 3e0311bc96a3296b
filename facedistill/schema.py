"""The schema of a parameter file, and the check of the whole file that every stage runs first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from facedistill.agreement import disagreements, networks
from facedistill.agreement.recipes import trained
from facedistill.data.dataset import DatasetParams
from facedistill.grid.layout import EvaluationParams, Layout, NonNegative, Weights
from facedistill.learning.parameters import (
    ArchitectureParams,
    EquationParams,
    LoaderParams,
    NetworkParams,
    ProcessParams,
    Rates,
    SnapshotParams,
    TaskParams,
    TeacherParams,
    TrainingParams,
)
from facedistill.outside import is_outside
from facedistill.params import PARAMS_FILE, ParamsError, check, items, params, read
from facedistill.recipe import Margin, Phi, Recipe
from facedistill.results.chosen import ExportParams, chosen
from facedistill.results.provenance import Heading

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Names = tuple[str, ...]

DVC_WORDS = ("size", "nfiles")
"""DVC's run cache ignores keys with these names at any depth: it would miss a change of their value (DVC #11079)."""


def _safe(name: str) -> str:
    """Check a name that the user chose, because it becomes part of commands, paths and dotted keys."""
    if not re.fullmatch("[a-z][a-z0-9_-]*", name):
        raise ValueError("a name has lower-case letters, digits, - and _ only, and begins with a letter")
    return name


Name = Annotated[str, AfterValidator(_safe)]


@params
class StudentParams(ArchitectureParams):
    """A network of `students`.

    seed: the seed of its training. If it is left out, `seed` at the top of the file holds.
    """

    seed: Seed = 0


@params
class RecipeParams(Recipe):
    """A recipe as params.yaml has it.

    phi: if it is left out, the recipe takes the Φ of its task.
    """

    phi: Phi = "softmax"


@params
class Table:
    """A section that lists students.

    students: the keys of `students` that the table shows.
    """

    students: Names


@params
class TransferTable(Table):
    """A table of a transfer.

    tasks: all tasks of the table, each with its own teacher; or none.
    """

    tasks: Names


@params
class MarginTable(Table):
    """The tables of ProxylessKD.

    margins: the margin softmax losses, each with its own teacher.
    """

    margins: tuple[Margin, ...]


@params
class CustomTable(Table):
    """The user's own recipes.

    task: the task whose teacher, crops and batch the recipes use.
    groups: the user's own keys of `recipes`. Each group is one stage and one folder for each student.
    """

    task: Literal["classification", Margin]
    groups: Names


@params
class Parameters:
    """The whole of params.yaml. Every section is required, and no other is allowed."""

    seed: Seed
    alpha: NonNegative
    beta: NonNegative
    report: Heading
    datasets: dict[Name, DatasetParams]
    tasks: dict[str, TaskParams]
    equation: EquationParams
    evaluation: EvaluationParams
    training: TrainingParams
    loader: LoaderParams
    snapshots: SnapshotParams
    processes: ProcessParams
    rates: Rates
    teacher: TeacherParams
    students: dict[Name, StudentParams]
    recipes: dict[Name, dict[Name, RecipeParams]]
    distilled: str
    targets: dict[Literal["none", "hidden", "soft"], Weights]
    table1: Table
    table2: Table
    alignment: TransferTable
    verification: TransferTable
    losses: Table
    architectures: Table
    weighting: Table
    proxyless: MarginTable
    custom: CustomTable
    labels: dict[str, dict[str, str | None]]
    export: ExportParams


def check_file(path: Path = PARAMS_FILE) -> None:
    """Check a whole parameter file. Raises ParamsError for anything unknown, missing, wrong or contradictory in it."""
    values = read(path)
    if words := [key for key, _ in items(values) if key.rpartition(".")[2] in DVC_WORDS]:
        raise ParamsError(f"{path}: {words[0]}: DVC's run cache ignores keys of this name; choose another name")
    _refuse(path, _ungrouped(values))
    _refuse(path, _without_effect(values))
    parameters: Parameters = check(Parameters, values, f"{path}: ")
    layout = Layout.read(path)
    _refuse(path, disagreements(parameters, layout))
    chosen(layout, path)
    _refuse(path, _tried(parameters, layout))


def _refuse(path: Path, messages: Iterator[str]) -> None:
    if found := list(messages):
        raise ParamsError("\n".join(f"{path}: {message}" for message in found))


def _ungrouped(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for every recipe that is in no group."""
    for name, group in values.get("recipes", {}).items() if isinstance(values.get("recipes"), Mapping) else ():
        if isinstance(group, Mapping) and group and not any(isinstance(recipe, Mapping) for recipe in group.values()):
            yield f"recipes.{name}: a recipe belongs to a group; write yours as recipes.custom.{name}"


def _without_effect(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for every key that would have no effect where it is written."""
    for key, value in items(values):
        if re.fullmatch(r"(students\.[^.]+|teacher\.network)\.embedding", key):
            yield f"{key}: a task sets the width of K for all its networks; set tasks.*.embedding, and remove this key"
        if re.fullmatch(r"datasets\.[^.]+\.crop", key) and isinstance(value, Mapping):
            method = value.get("method")
            if "margin" in value and method != "box":
                yield f"{key}.margin: only method: box has a margin, but the method is {method}; remove the margin"
        if re.fullmatch(r"recipes\.[^.]+\.[^.]+", key) and isinstance(value, Mapping):
            # An explicit weight of 0 switches a term off for an experiment.
            if "psi" in value and "beta" not in value:
                yield f"{key}.psi: Ψ has no weight; set beta, or remove psi"
            if value.get("weighting") is not None and not {"alpha", "beta"} & value.keys():
                yield f"{key}.weighting: no term of the teacher has a weight; set alpha or beta, or remove weighting"


def _tried(p: Parameters, layout: Layout) -> Iterator[str]:
    """Run the user's own Φ, Ψ and architectures once on random crops, and yield a message for each that is wrong.

    PyTorch is imported only if the file names any.
    """
    at = {
        (task, key): NetworkParams(network.architecture, network.divisor, p.tasks[task].embedding)
        for task in layout.tasks
        for key, network in networks(p, layout, task)
    }
    own = {place: network for place, network in at.items() if is_outside(network.architecture)}
    recipes = [(group, name, recipe) for group, name, recipe in trained(layout) if recipe.outside]
    if not recipes and not own:
        return
    from facedistill.learning.trial import try_architecture, try_recipe

    found = dict[str, None]()
    for (task, key), network in own.items():
        try:
            try_architecture(network, p.tasks[task].input)
        except ParamsError as error:
            found[f"{key}.architecture: {error}"] = None
    for group, name, recipe in recipes if not found else ():
        trained_by, teacher = p.tasks[group.task], at[group.task, "teacher.network"]
        for student in dict.fromkeys(at[group.task, f"students.{student.name}"] for student in group.students):
            for message in try_recipe(
                recipe, p.equation, student, teacher, trained_by.input, trained_by.margin_softmax
            ):
                found[f"recipes.{group.section}.{name}.{message}"] = None
    yield from found
