"""What the whole parameter file may hold, section by section."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from facedistill.data.dataset import DatasetParams
from facedistill.export.chosen import ExportParams, chosen
from facedistill.grid import NEEDS, TEACHERS, EvaluationParams, Layout, NonNegative, Weights
from facedistill.learning.batches import LoaderParams
from facedistill.learning.cell import TaskParams, TrainingParams
from facedistill.learning.loop import OptimisationParams
from facedistill.learning.losses.equation5 import EquationParams
from facedistill.learning.losses.recipe import Margin, Recipe
from facedistill.learning.networks import NetworkParams
from facedistill.learning.processes import ProcessParams
from facedistill.learning.snapshots import SnapshotParams
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
    "students": dict[str, NetworkParams],
    "recipes": dict[str, Recipe],
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
        value = values[name]
        # A student may have a seed of its own, and Φ of a recipe is its task's where it is left out.
        if name == "students":
            seeds = check(dict[str, dict[str, Any]], value, f"{path}: {name}")
            check(dict[str, int], {k: v["seed"] for k, v in seeds.items() if "seed" in v}, f"{path}: seeds of {name}")
            value = {k: {key: v[key] for key in v if key != "seed"} for k, v in seeds.items()}
        if name == "recipes":
            value = {
                k: {"phi": "softmax"} | v for k, v in check(dict[str, dict[str, Any]], value, f"{path}: {name}").items()
            }
        check(kind, value, f"{path}: {name}")
    if unknown := [key for key in values if key not in SECTIONS]:
        raise ParamsError(f"{path}: unknown key {unknown[0]!r}; allowed: {', '.join(SECTIONS)}")
    chosen(Layout.read(path), path)
