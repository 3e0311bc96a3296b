"""What the two transfer stages share: Equation 5 for a task, from a starting model, towards a target."""

from __future__ import annotations

import argparse
from pathlib import Path

from facedistill.learning.cell import TaskParams, train_cell
from facedistill.learning.losses.equation5 import Recipe
from facedistill.learning.networks import NetworkParams
from facedistill.params import load
from stages.common import training_params


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line of a transfer stage."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--init", required=True, help="the student's model to start from: `ours` or `pretrain_TASK`")
    parser.add_argument("--target", required=True, help="a key of `targets`, or `own` for `alpha` and `beta`")
    return parser


def transfer(task: str, args: argparse.Namespace, soft_teacher: Path, hidden_teacher: Path) -> None:
    """Train and save the cell NETWORK/TASK/INIT/TARGET; the user's own is NETWORK/own/TASK/INIT."""
    own = args.target == "own"
    weights = "" if own else f"targets.{args.target}."
    task_params = load(TaskParams, f"tasks.{task}")
    recipe = Recipe(
        phi=task_params.phi,
        alpha=load(float, f"{weights}alpha"),
        beta=load(float, f"{weights}beta"),
        start=args.init,
    )
    train_cell(
        model=f"{args.student}/own/{task}/{args.init}" if own else f"{args.student}/{task}/{args.init}/{args.target}",
        task=task_params,
        network=load(NetworkParams, f"students.{args.student}"),
        soft_teacher=soft_teacher,
        hidden_teacher=hidden_teacher,
        **training_params(recipe),
    )
