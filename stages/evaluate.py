"""Evaluate every model of one student, the user's own of that student, or the teachers: metrics, and rows for plots."""

from __future__ import annotations

import argparse
from typing import Any

from facedistill import grid
from facedistill.evaluation.models import Evaluation
from facedistill.files import write_json
from facedistill.grid import OWN, TEACHER, EvaluationParams, Layout, cells
from facedistill.learning.cell import TaskParams
from facedistill.params import load
from facedistill.paths import EVALUATION
from stages.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", help="a key of `students` in params.yaml; the teachers where it is left out")
    sections = ("alignment", "verification")
    parser.add_argument("--own", choices=sections, help="the models of these tables that `alpha` and `beta` weigh")
    args = parser.parse_args()

    layout, metrics = Layout.read(), dict[str, Any]()
    params = load(EvaluationParams, "evaluation")
    evaluation = Evaluation(params)
    tasks = {task: load(TaskParams, f"tasks.{task}") for task in layout.tasks}
    if not args.student:
        name = TEACHER
        metrics = {task: evaluation.of(tasks[task], grid.teacher(task), task) for task in tasks}
        if "alignment" in tasks:
            metrics["alignment"] |= evaluation.mean_shape(tasks["alignment"])
        metrics["negatives"] = evaluation.negatives(tasks["classification"], grid.teacher("classification"))
        metrics |= {"far": params.far, "identified": evaluation.identified}
    else:
        name = f"{OWN}/{args.student}/{args.own}" if args.own else args.student
        for cell in cells(layout):
            if cell.run == name:
                # A margin's students share their teacher's space.
                teacher = grid.teacher(cell.task) if cell.task in layout.margins else None
                found = evaluation.of(tasks[cell.task], cell.model, cell.name, teacher)
                node = metrics
                for part in cell.path[:-1]:
                    node = node.setdefault(part, {})
                node[cell.path[-1]] = found
    write_json(grid.metrics(name), metrics)
    evaluation.save(EVALUATION / name)


if __name__ == "__main__":
    run(main)
