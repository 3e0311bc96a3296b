"""Evaluate the models of one student in one table, or the teachers: one JSON of metrics, and what the plots need."""

from __future__ import annotations

import argparse
import json
from typing import Any

from facedistill import grid
from facedistill.evaluation.models import Evaluation
from facedistill.learning.cell import TaskParams
from facedistill.params import load
from facedistill.paths import METRICS, PAIRS, PREDICTIONS
from stages.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", required=True, help="teacher, classification, table1, a transfer task, or own_TASK")
    parser.add_argument("--student", help="a key of `students` in params.yaml; none for the teachers")
    args = parser.parse_args()

    evaluation = Evaluation()
    metrics: dict[str, Any] = {}
    if args.group == "teacher":
        for task in grid.TASKS:
            metrics[task] = evaluation.of(load(TaskParams, f"tasks.{task}"), grid.teacher(task), task)
        metrics["alignment"] |= evaluation.mean_shape(load(TaskParams, "tasks.alignment"))
        path, name = METRICS / "teacher.json", "teacher"
    else:
        task = grid.task(args.group)
        metrics = evaluation.of(load(TaskParams, f"tasks.{task}"), grid.cells(args.group, args.student))
        path, name = METRICS / args.group / f"{args.student}.json", f"{args.group}/{args.student}"

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    evaluation.save(PAIRS / f"{name}.parquet", PREDICTIONS / f"{name}.parquet")


if __name__ == "__main__":
    run(main)
