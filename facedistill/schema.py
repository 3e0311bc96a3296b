"""The whole parameter file, section by section, and the one check of it before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from facedistill.agreement import disagreements
from facedistill.data.dataset import DatasetParams
from facedistill.grid.layout import EvaluationParams, Layout, NonNegative, Weights
from facedistill.learning.parameters import (
    EquationParams,
    LoaderParams,
    NetworkParams,
    OptimisationParams,
    ProcessParams,
    SnapshotParams,
    TaskParams,
    TrainingParams,
)
from facedistill.params import PARAMS_FILE, ParamsError, check, items, params, read
from facedistill.recipe import Margin, PhiName, Recipe
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

    network: NetworkParams
    rates: Rates


@params
class StudentParams(NetworkParams):
    """seed: of its training. Where it is left out, the seed is the one of all."""

    seed: Seed = 0


@params
class RecipeParams(Recipe):
    """phi: where it is left out, Φ is the one of the task."""

    phi: PhiName = "softmax"


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
    parameters: Parameters = check(Parameters, values, f"{path}: ")
    layout = Layout.read(path)
    if found := list(disagreements(parameters, layout)):
        raise ParamsError("\n".join(f"{path}: {message}" for message in found))
    chosen(layout, path)
