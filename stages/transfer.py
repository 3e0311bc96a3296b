"""What the two transfer stages share: Equation 5 for a task, from a starting model, towards each target in turn."""

from __future__ import annotations

import argparse
from pathlib import Path

from facedistill import grid
from facedistill.grid import Weights
from facedistill.learning.cell import TaskParams, train_cell
from facedistill.learning.losses.equation5 import Recipe
from facedistill.learning.networks import NetworkParams
from facedistill.params import load
from stages.common import training_params


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line of a transfer stage."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--init", help="from `ours` or `pretrain_TASK`, a model of the student, towards each of `targets`"
    )
    which.add_argument("--own", action="store_true", help="from both, towards the user's own `alpha` and `beta`")
    return parser


def transfer(task: str, args: argparse.Namespace, soft_teacher: Path, hidden_teacher: Path) -> None:
    """Train and save the cells STUDENT/TASK/INIT/TARGET, or the user's own STUDENT/own/TASK/INIT."""
    if args.own:
        weights = Weights(load(float, "alpha"), load(float, "beta"))
        cells = [(f"own/{task}/{init}", init, weights) for init in grid.inits(task).values()]
    else:
        targets = load(dict[str, Weights], "targets")
        cells = [(f"{task}/{args.init}/{target}", args.init, weights) for target, weights in targets.items()]
    task_params = load(TaskParams, f"tasks.{task}")
    for name, init, weights in cells:
        train_cell(
            model=f"{args.student}/{name}",
            task=task_params,
            network=load(NetworkParams, f"students.{args.student}"),
            soft_teacher=soft_teacher,
            hidden_teacher=hidden_teacher,
            **training_params(Recipe(task_params.phi, weights.alpha, weights.beta, start=init)),
        )
