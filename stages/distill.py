"""Distil the classification teacher into a student, by one of the recipes of params.yaml (Equations 2 and 4)."""

from __future__ import annotations

import argparse

from facedistill import grid
from facedistill.learning.cell import TaskParams, train_cell
from facedistill.learning.losses.equation5 import Recipe
from facedistill.learning.networks import NetworkParams
from facedistill.params import load
from facedistill.paths import MODELS
from stages.common import run, training_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--recipe", required=True, help="a key of `recipes` in params.yaml")
    args = parser.parse_args()

    recipe, models = load(Recipe, f"recipes.{args.recipe}"), MODELS / args.student
    teacher = grid.teacher("classification")
    train_cell(
        model=models / args.recipe,
        start=models / recipe.start if recipe.start else None,
        task=load(TaskParams, "tasks.classification"),
        network=load(NetworkParams, f"students.{args.student}"),
        soft_teacher=teacher,
        hidden_teacher=teacher,
        **training_params(recipe),
    )


if __name__ == "__main__":
    run(main)
