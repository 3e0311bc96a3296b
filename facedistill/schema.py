"""The whole parameter file, section by section, and the one check of it before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from facedistill.agreement import disagreements, networks, trained
from facedistill.data.dataset import DatasetParams
from facedistill.grid.layout import EvaluationParams, Layout, NonNegative, Weights
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
from facedistill.outside import is_outside
from facedistill.params import PARAMS_FILE, ParamsError, check, items, params, read
from facedistill.recipe import Margin, Phi, Recipe
from facedistill.results.chosen import ExportParams, chosen
from facedistill.results.provenance import Heading

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Names = tuple[str, ...]

DVC_WORDS = ("size", "nfiles")
"""Keys that DVC's run cache leaves out wherever they are: a changed value under one would be "cached" (DVC #11079)."""


def _safe(name: str) -> str:
    """A name of the user's own becomes part of commands, paths and dotted keys."""
    if not re.fullmatch("[a-z][a-z0-9_-]*", name):
        raise ValueError("a name has lower-case letters, digits, - and _ alone, and begins with a letter")
    return name


Name = Annotated[str, AfterValidator(_safe)]


@params
class Rates:
    """scratch: from random weights. initialised: from the weights of another model."""

    scratch: OptimisationParams
    initialised: OptimisationParams


@params
class TeacherParams:
    """The teacher of every task, and its two rates."""

    network: ArchitectureParams
    rates: Rates


@params
class StudentParams(ArchitectureParams):
    """seed: of its training. Where it is left out, the seed is the one of all."""

    seed: Seed = 0


@params
class RecipeParams(Recipe):
    """phi: where it is left out, Φ is the one of the task."""

    phi: Phi = "softmax"


@params
class Table:
    """students: the rows of a table."""

    students: Names


@params
class TransferTable(Table):
    """tasks: all that have a teacher, or none."""

    tasks: Names


@params
class MarginTable(Table):
    """margins: each with a teacher of its own."""

    margins: tuple[Margin, ...]


@params
class CustomTable(Table):
    """The user's own recipes.

    task: whose teacher, crops and batch they take.
    groups: keys of `recipes`, each a stage and a folder for each student.
    """

    task: Literal["classification", Margin]
    groups: Names


@params
class Parameters:
    """What params.yaml holds. Every section has to be there, and no other may be."""

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
    """Raises ParamsError for whatever is unknown, missing, wrong or contradictory anywhere in a parameter file."""
    values = read(path)
    if words := [key for key, _ in items(values) if key.rpartition(".")[2] in DVC_WORDS]:
        raise ParamsError(f"{path}: {words[0]}: DVC gives this name a meaning of its own; call it otherwise")
    _refuse(path, _without_effect(values))
    parameters: Parameters = check(Parameters, values, f"{path}: ")
    layout = Layout.read(path)
    _refuse(path, disagreements(parameters, layout))
    chosen(layout, path)
    _refuse(path, _tried(parameters, layout))


def _refuse(path: Path, messages: Iterator[str]) -> None:
    if found := list(messages):
        raise ParamsError("\n".join(f"{path}: {message}" for message in found))


def _without_effect(values: Mapping[str, Any]) -> Iterator[str]:
    """What is a key of another section, or of another value beside it."""
    for key, value in items(values):
        if re.fullmatch(r"(students\.[^.]+|teacher\.network)\.embedding", key):
            yield f"{key}: the width of K is the task's, tasks.*.embedding; write it there, and remove it here"
        if re.fullmatch(r"datasets\.[^.]+\.crop", key) and isinstance(value, Mapping):
            method = value.get("method")
            if "margin" in value and method != "box":
                yield f"{key}.margin: only method: box has a margin, and the method is {method}; remove it"


def _tried(p: Parameters, layout: Layout) -> Iterator[str]:
    """What is wrong with the user's own Φ, Ψ and architectures, each run once on random crops.

    PyTorch is imported only if there are any.
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
