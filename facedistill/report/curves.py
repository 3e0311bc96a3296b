"""Loss terms over training steps, as training logged them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facedistill.grid import Layout, Weights, cells
from facedistill.report.results import MissingResultError

SERIES = Path("curves/plots/metrics/step")
"""Where dvclive puts `step/TERM` below its folder."""

PHI = {
    "none": (),
    "softmax": ("softmax",),
    "landmarks": ("landmarks",),
    "triplet": ("triplet",),
    "triplet_softmax": ("triplet", "softmax"),
}


@dataclass(frozen=True)
class Curve:
    """The training of one cell. method: a recipe or a target. init: `pretrain` or `distill`, empty in classification.

    terms: steps and unweighted values of each loss term, and of their weighted sum as `loss`.
    """

    task: str
    student: str
    method: str
    init: str
    terms: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def curves(layout: Layout, params: Mapping[str, Any], root: Path) -> Iterator[Curve]:
    """The curves of every student's cell, in the order of the tables.

    root: top of the repository. params: the whole parameter file: `recipes` and `tasks` tell which terms a cell has.
    Raises MissingResultError for a term that was not logged.
    """
    for cell in cells(layout):
        task, student, *rest = cell.key
        if task == "classification":
            method, init, recipe = rest[0], "", params["recipes"][rest[0]]
            weights = Weights(recipe.get("alpha", 0), recipe.get("beta", 0))
            phi, psi = recipe["phi"], recipe.get("psi", "hidden")
        else:
            init, method = rest
            weights, phi, psi = layout.weights[method], params["tasks"][task]["phi"], "hidden"
        terms = ["loss", *PHI[phi], *(["soft"] if weights.alpha else []), *([psi] if weights.beta else [])]
        run = root / cell.model
        yield Curve(task, student, method, init, {term: _series(run, term) for term in terms})


def _series(run: Path, term: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    file = run / SERIES / f"{term}.tsv"
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [(float(row["step"]), float(row[term])) for row in csv.DictReader(lines, delimiter="\t")]
    except FileNotFoundError:
        raise MissingResultError(
            f"{file}: no such file; run the stage that trains {run} again (dvc repro -f)"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise MissingResultError(f"{file}: expected the columns step and {term}, numbers, separated by tabs") from None
    if not rows:
        raise MissingResultError(f"{file}: no rows: fewer steps than training.log_every?")
    steps, values = np.array(rows).T
    return steps, values
