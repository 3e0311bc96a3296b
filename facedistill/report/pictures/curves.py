"""Loss terms over training steps, as training logged them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facedistill.grid import RECIPES, TRANSFER, Cell, Layout, first_cells
from facedistill.learning.curves import STEPS
from facedistill.recipe import WEIGHTING, Recipe
from facedistill.results.budget import recipe
from facedistill.results.metrics import MissingResultError
from facedistill.results.names import LOSSES, MARGINS, TASK_NAMES


@dataclass(frozen=True)
class Curve:
    """The training of one cell. method: a recipe or a target. init: `pretrain` or `distill`, empty without a transfer.

    recipe: what it was trained by. terms: steps and unweighted values of each of its loss terms, and of their weighted
    sum as `loss`.
    """

    task: str
    student: str
    method: str
    init: str
    recipe: Recipe
    terms: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def curve(cell: Cell, layout: Layout, params: Mapping[str, Any], root: Path) -> Curve:
    """The training of a cell.

    root: top of the repository. params: the whole parameter file: `recipes` and `tasks` tell which terms a cell has.
    Raises MissingResultError for a term that was not logged.
    """
    task, student, *rest = cell.key
    if task in TRANSFER:
        init, method = rest
        weights = layout.weights[method]
        asked = Recipe(params["tasks"][task]["phi"], weights.alpha, weights.beta)
    else:
        init, method = "", rest[0]
        asked = recipe(params, task, method)
    terms = ["loss", *(WEIGHTING if asked.weighting else ()), *asked.phi_terms]
    terms += [*(["soft"] if asked.alpha else []), *([asked.psi_term] if asked.beta else [])]
    return Curve(task, student, method, init, asked, _series(root / cell.model, terms))


def figures(layout: Layout) -> Iterator[tuple[str, str, list[Cell]]]:
    """The name, the title and the cells of each figure: one for each group of cells that are compared.

    Of every network its first seed alone, in the order of the tables.
    """
    drawn = list(first_cells(layout))
    groups = {
        "classification": ("classification", (*RECIPES["table2"], *RECIPES["table1"]), "table2"),
        "losses": ("losses of the poster", tuple(LOSSES), "losses"),
        "architectures": ("architectures of the poster", RECIPES["architectures"], "architectures"),
        "weighting": ("teacher weighting", ("hard_soft_featurenorm", "weighted"), "weighting"),
    }
    for name, (title, recipes, section) in groups.items():
        students = [student.name for student in layout.tables[section]]
        chosen = [c for c in drawn if c.task == "classification" and c.key[2] in recipes and c.student in students]
        if chosen:
            yield name, title, chosen
    for task in (*layout.margins, *TRANSFER):
        if chosen := [cell for cell in drawn if cell.task == task]:
            yield task, MARGINS.get(task) or TASK_NAMES[task], chosen


def _series(model: Path, terms: Sequence[str]) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Steps and values of each term."""
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
