"""Train a student on one task alone: W_S0 for classification (Equation 3), the paper's "Pretrain" for the others."""

from __future__ import annotations

import argparse

from facedistill import grid
from facedistill.learning.cell import Plan, TaskParams, train_cells
from facedistill.learning.losses.recipe import Recipe
from facedistill.params import load
from facedistill.paths import MODELS
from stages.common import run_training, training_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--tasks", required=True, nargs="+", choices=grid.TASKS)
    args = parser.parse_args()

    for name in args.tasks:
        task = load(TaskParams, f"tasks.{name}")
        model = MODELS / args.student / ("softmax" if name == "classification" else f"pretrain_{name}")
        train_cells(
            task=task,
            **training_params([Plan(model, Recipe(phi=task.phi))], f"students.{args.student}"),
        )


if __name__ == "__main__":
    run_training(main)
