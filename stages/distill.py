"""Distil a teacher into a student, by recipes of params.yaml (Equations 2 and 4, and those of the other papers)."""

from __future__ import annotations

import argparse
from typing import Any

from facedistill import grid
from facedistill.learning.parameters import TaskParams
from facedistill.learning.training import Plan, rounds, train_networks
from facedistill.params import PARAMS_FILE, check, load
from facedistill.paths import MODELS
from facedistill.recipe import MARGIN_SOFTMAX, Recipe
from stages.common import run_training, training_params, write_speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--task", default="classification", choices=["classification", *MARGIN_SOFTMAX])
    parser.add_argument("--recipes", required=True, nargs="+", help="keys of `recipes` in params.yaml, in this order")
    args = parser.parse_args()

    task = load(TaskParams, f"tasks.{args.task}")
    models = MODELS / args.student / ("" if args.task == "classification" else args.task)
    teacher = grid.teacher(args.task)
    plans = []
    for name in args.recipes:
        section = f"recipes.{name}"
        recipe = check(Recipe, {"phi": task.phi} | load(dict[str, Any], section), f"{PARAMS_FILE}: {section}")
        plans.append(Plan(models / name, recipe, models / recipe.start if recipe.start else None))
    speed: dict[str, Any] = {}
    for together in rounds(plans):
        speed |= train_networks(
            soft_teacher=teacher,
            hidden_teacher=teacher,
            **training_params(task, together, f"students.{args.student}"),
        )
    # DVC tracks a margin's models as one folder.
    write_speed(plans[0].model if args.task == "classification" else models, speed)


if __name__ == "__main__":
    run_training(main)
