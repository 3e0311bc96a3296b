"""The cells of the tables: which trained models there are, by the names under which their metrics are reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from facedistill.params import params
from facedistill.paths import MODELS

TASKS = ("classification", "alignment", "triplet", "triplet_softmax")
CLASSIFICATION = ("softmax", "soft", "ours", "softmax_full", "soft_full")
TABLE1 = ("hidden", "logits", "fitnet")
TARGETS = ("none", "hidden", "soft")


@params
class Weights:
    """alpha: of the soft target, H. beta: of the hidden layer, Ψ."""

    alpha: Annotated[float, Field(ge=0)]
    beta: Annotated[float, Field(ge=0)]

    def __str__(self) -> str:
        return f"α = {self.alpha:g}, β = {self.beta:g}"


def task(group: str) -> str:
    """The task whose data and metrics the cells of a group share."""
    return "classification" if group == "table1" else group.removeprefix("own_")


def teacher(task: str) -> Path:
    """Folder of the teacher of a task."""
    return MODELS / "teacher" / task


def inits(task: str) -> dict[str, str]:
    """The paper's name of each initialisation, and the student's model that it is."""
    return {"pretrain": f"pretrain_{task}", "distill": "ours"}


def cells(group: str, student: str) -> dict[str, Any]:
    """Folders of the models of one metrics file, nested as the file is.

    group: `classification` or `table1` (by recipe), a transfer task (by init, then target), or `own_TASK` (by init).
    """
    root = MODELS / student
    if group in ("classification", "table1"):
        return {recipe: root / recipe for recipe in (CLASSIFICATION if group == "classification" else TABLE1)}
    if group.startswith("own_"):
        return {name: root / "own" / task(group) / init for name, init in inits(task(group)).items()}
    return {name: {target: root / group / init / target for target in TARGETS} for name, init in inits(group).items()}
