"""Learning curves: loss terms over training steps, as training logged them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facedistill.grid.cells import Cell, first_cells
from facedistill.grid.layout import CUSTOM, TRANSFER
from facedistill.learning.curves import STEPS
from facedistill.recipe import WEIGHTING, Recipe
from facedistill.results.metrics import MissingResultError
from facedistill.results.names import MARGINS, TASK_NAMES, Row
from facedistill.results.reading import Reading

TITLES = {
    "table1": "targets and initialisations",
    "table2": "initialisations and budgets",
    "losses": "losses of the poster",
    "architectures": "architectures of the poster",
    "weighting": "teacher weighting",
}
"""What the figure of each of the papers' groups is about. A figure of a margin has the margin's name."""


@dataclass(frozen=True)
class Curve:
    """The learning curves of one cell.

    student: the student's name.
    method: a target, or GROUP/RECIPE.
    init: `pretrain` or `distill`; empty if it is not of a transfer.
    recipe: the recipe that trained it.
    terms: steps and unweighted values, each (n,), of each loss term; and of their weighted sum, as `loss`.
    """

    student: str
    method: str
    init: str
    recipe: Recipe
    terms: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True)
class CurvesFigure:
    """A figure of cells that are compared. It shows the first seed of each network.

    name: the last part of its file's name.
    title: what it is about.
    rows: its recipes; empty for a transfer.
    cells: its cells in the order of the table, each after its method.
    """

    name: str
    title: str
    rows: list[Row]
    cells: list[tuple[str, Cell]]


def curve(cell: Cell, method: str, reading: Reading) -> Curve:
    """The learning curves of a cell. Raises MissingResultError if a term was not logged.

    method: as in Curve.
    """
    recipe = cell.recipe
    if recipe is None:
        weights = reading.layout.weights[cell.method]
        recipe = Recipe(reading.values["tasks"][cell.task]["phi"], weights.alpha, weights.beta)
    terms = ["loss", *(WEIGHTING if recipe.weighting else ()), *recipe.phi_terms]
    terms += [*(["soft"] if recipe.alpha else []), *([recipe.psi_term] if recipe.beta else [])]
    return Curve(cell.student, method, cell.init, recipe, _series(reading.root / cell.model, terms))


def figures(reading: Reading) -> Iterator[CurvesFigure]:
    """One figure for each group of recipes, then one for each task of the transfer."""
    layout = reading.layout
    drawn = list(first_cells(layout))
    by_address = {cell.address: cell for cell in drawn}
    for group in layout.groups.values():
        rows = reading.labels.rows(group)
        students = layout.firsts(group.students)
        chosen = [(row.key, by_address[a]) for student in students for row in rows if (a := row.of(student))]
        if chosen and (group.custom or group.section in layout.tables):
            prefix = f"{CUSTOM}_" if group.custom else ""
            title = MARGINS.get(group.name) or TITLES.get(group.name, f"your group {group.name}")
            yield CurvesFigure(prefix + group.name, title, rows, chosen)
    for task in TRANSFER:
        if chosen := [(cell.method, cell) for cell in drawn if cell.task == task]:
            yield CurvesFigure(task, TASK_NAMES[task], [], chosen)


def _series(model: Path, terms: Sequence[str]) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The steps and values of each term, from the log in the folder `model`."""
    file = model / STEPS
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            columns = ("step", *terms)
            rows = [[float(row[name]) for name in columns] for row in csv.DictReader(lines, delimiter="\t")]
    except FileNotFoundError:
        raise MissingResultError(
            f"{file}: no such file; run the stage that trains {model} again (dvc repro -f)"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise MissingResultError(
            f"{file}: expected the columns {', '.join(columns)}, numbers, separated by tabs"
        ) from None
    if not rows:
        raise MissingResultError(f"{file}: no rows")
    steps, *values = np.array(rows).T
    return {term: (steps, column) for term, column in zip(terms, values, strict=True)}
