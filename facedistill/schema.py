"""What the whole parameter file may hold, section by section."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from facedistill.data.dataset import DatasetParams
from facedistill.export.chosen import ExportParams, chosen
from facedistill.grid import NEEDS, TEACHERS, EvaluationParams, Layout, NonNegative, Weights
from facedistill.learning.losses.recipe import Margin, PhiName, Recipe
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
from facedistill.params import PARAMS_FILE, ParamsError, check, params, read
from facedistill.report.provenance import Heading

Names = tuple[str, ...]


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
    """seed: its own, where it is another of the same network. Where it is left out it is that of all."""

    seed: int = 0


@params
class RecipeParams(Recipe):
    """phi: where it is left out it is that of its task."""

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


SECTIONS: dict[str, Any] = {
    "seed": int,
    "alpha": NonNegative,
    "beta": NonNegative,
    "report": Heading,
    "datasets": dict[str, DatasetParams],
    "tasks": dict[str, TaskParams],
    "equation": EquationParams,
    "evaluation": EvaluationParams,
    "training": TrainingParams,
    "loader": LoaderParams,
    "snapshots": SnapshotParams,
    "processes": ProcessParams,
    "rates": Rates,
    "teacher": TeacherParams,
    "students": dict[str, StudentParams],
    "recipes": dict[str, RecipeParams],
    "targets": dict[Literal["none", "hidden", "soft"], Weights],
    **{name: TransferTable if name in TEACHERS else MarginTable if name == "proxyless" else Table for name in NEEDS},
    "export": ExportParams,
}


def check_file(path: Path = PARAMS_FILE) -> None:
    """Raises ParamsError for whatever is unknown, missing or wrong anywhere in a parameter file."""
    values = read(path)
    for name, kind in SECTIONS.items():
        if name not in values:
            raise ParamsError(f"{path}: no key {name!r}")
        check(kind, values[name], f"{path}: {name}")
    if unknown := [key for key in values if key not in SECTIONS]:
        raise ParamsError(f"{path}: unknown key {unknown[0]!r}; allowed: {', '.join(SECTIONS)}")
    chosen(Layout.read(path), path)
