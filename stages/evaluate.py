"""Evaluate the models of one student in some tables, or the teachers: JSON of metrics, and what the plots need."""

from __future__ import annotations

import argparse
from typing import Any

from facedistill import grid
from facedistill.evaluation.models import Evaluation
from facedistill.files import write_json
from facedistill.learning.cell import TaskParams
from facedistill.params import load
from facedistill.paths import METRICS, PAIRS, PREDICTIONS
from stages.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", help="a key of `students` in params.yaml; the teachers where it is left out")
    parser.add_argument("--groups", nargs="+", default=[], help="classification, table1, a transfer task, or own_TASK")
    args = parser.parse_args()
    if bool(args.student) != bool(args.groups):
        parser.error("--student and --groups go together; without both, the teachers are evaluated")

    if not args.student:
        evaluation = Evaluation()
        metrics: dict[str, Any] = {}
        for task in grid.TASKS:
            metrics[task] = evaluation.of(load(TaskParams, f"tasks.{task}"), grid.teacher(task), task)
        metrics["alignment"] |= evaluation.mean_shape(load(TaskParams, "tasks.alignment"))
        save("teacher", metrics, evaluation)
    for group in args.groups:
        evaluation = Evaluation()
        task_params = load(TaskParams, f"tasks.{grid.task(group)}")
        save(f"{group}/{args.student}", evaluation.of(task_params, grid.cells(group, args.student)), evaluation)


def save(name: str, metrics: dict[str, Any], evaluation: Evaluation) -> None:
    write_json(METRICS / f"{name}.json", metrics)
    evaluation.save(PAIRS / f"{name}.parquet", PREDICTIONS / f"{name}.parquet")


if __name__ == "__main__":
    run(main)
