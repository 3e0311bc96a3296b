"""Train a teacher: for classification from random weights (H(y, P_T)), else from W_T^cls (Equations 6 and 8)."""

from __future__ import annotations

import argparse

from facedistill.grid.cells import teacher
from facedistill.learning.parameters import TaskParams
from facedistill.learning.training import Plan, train_networks
from facedistill.params import load
from facedistill.recipe import Recipe
from stages.common import run_training, training_params, write_speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a key of `tasks` in params.yaml")
    args = parser.parse_args()

    task = load(TaskParams, f"tasks.{args.task}")
    start = None if args.task == "classification" else "classification"
    plan = Plan(teacher(args.task), Recipe(phi=task.phi, start=start), teacher(start) if start else None)
    write_speed(plan.model, train_networks(**training_params(task, [plan], "teacher.network", "teacher.rates")))


if __name__ == "__main__":
    run_training(main)
