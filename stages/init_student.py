"""Train a student without a teacher: W_S0 for classification (Equation 3), the paper's "Pretrain" for other tasks."""

from __future__ import annotations

import argparse
from typing import Any

from facedistill.grid.cells import pretrained
from facedistill.grid.layout import INIT, TASKS, Layout
from facedistill.learning.parameters import TaskParams
from facedistill.learning.training import Plan, train_networks
from facedistill.params import load
from facedistill.recipe import Recipe
from stages.common import run_together, train_group, training_params, write_speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument("--tasks", required=True, nargs="+", choices=TASKS)
    args = parser.parse_args()

    if args.tasks == ["classification"]:
        train_group(Layout.read().groups[INIT], args.student)
        return
    models = [pretrained(args.student, name) for name in args.tasks]
    speed: dict[str, Any] = {}
    for name, model in zip(args.tasks, models, strict=True):
        task = load(TaskParams, f"tasks.{name}")
        plan = Plan(model, Recipe(phi=task.phi))
        speed |= train_networks(**training_params(task, [plan], f"students.{args.student}"))
    write_speed(models[0], speed)


if __name__ == "__main__":
    run_together(main)
