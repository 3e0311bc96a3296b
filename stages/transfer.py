"""The shared part of the two transfer stages: Equation 5 for a task, from both starting models, for each target."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facedistill.grid.cells import pretrained
from facedistill.grid.layout import CUSTOM, Weights
from facedistill.learning.parameters import TaskParams
from facedistill.learning.teachers import Guide
from facedistill.learning.training import Plan, train_networks
from facedistill.params import load
from facedistill.paths import MODELS
from facedistill.recipe import Recipe
from stages.common import training_params


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line of a transfer stage."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--custom", action="store_true", help="use `alpha` and `beta` in place of `targets`")
    return parser


def models(task: str, args: argparse.Namespace) -> Path:
    """The folder of a task's models, STUDENT/TASK, or custom/STUDENT/TASK for the user's own weights."""
    student: str = args.student
    return (MODELS / CUSTOM if args.custom else MODELS) / student / task


def transfer(task: str, args: argparse.Namespace, soft_teacher: Path, hidden_teacher: Path) -> dict[str, Any]:
    """Train and save a model INIT/TARGET for each start and target, or INIT for the user's own weights.

    Returns the times, as `train_networks` does.
    """
    targets = {"": Weights.custom()} if args.custom else load(dict[str, Weights], "targets")
    task_params = load(TaskParams, f"tasks.{task}")
    starts = {"pretrain": pretrained(args.student, task), "distill": MODELS / args.student / load(str, "distilled")}
    plans = [
        Plan(models(task, args) / init / target, Recipe(task_params.phi, w.alpha, w.beta, start=init), start)
        for init, start in starts.items()
        for target, w in targets.items()
    ]
    return train_networks(
        soft_teacher=Guide(soft_teacher),
        hidden_teacher=Guide(hidden_teacher),
        **training_params(task_params, plans, f"students.{args.student}"),
    )
