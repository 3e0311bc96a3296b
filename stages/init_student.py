"""Train a student on one task alone: W_S0 for classification (Equation 3), the paper's "Pretrain" for the others."""

from __future__ import annotations

import argparse

from facedistill.learning.cell import Plan, TaskParams, train_cells
from facedistill.learning.losses.recipe import Recipe
from facedistill.learning.networks import NetworkParams
from facedistill.params import load
from facedistill.paths import MODELS
from stages.common import run, training_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--task", required=True, choices=["classification", "alignment", "triplet", "triplet_softmax"])
    args = parser.parse_args()

    task = load(TaskParams, f"tasks.{args.task}")
    name = "softmax" if args.task == "classification" else f"pretrain_{args.task}"
    train_cells(
        task=task,
        network=load(NetworkParams, f"students.{args.student}"),
        **training_params([Plan(MODELS / args.student / name, Recipe(phi=task.phi))]),
    )


if __name__ == "__main__":
    run(main)
