"""Evaluate every model of one student, the user's own of that student, or the teachers: metrics, and rows for plots."""

from __future__ import annotations

import argparse
from typing import Any

from facedistill import grid
from facedistill.evaluation.models import Evaluation
from facedistill.files import write_json
from facedistill.grid import OWN, TEACHER, EvaluationParams, Layout, cells
from facedistill.learning.training import trained_on
from facedistill.params import load
from facedistill.paths import EVALUATION
from stages.common import check_crops, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", help="a key of `students` in params.yaml; the teachers where it is left out")
    sections = ("alignment", "verification")
    parser.add_argument("--own", choices=sections, help="the models of these tables that `alpha` and `beta` weigh")
    args = parser.parse_args()

    layout, metrics = Layout.read(), dict[str, Any]()
    # The user's own cells are trained in the same stage, on crops that were compared then.
    if not args.own:
        check_crops(*load(dict[str, Any], "datasets"))
    params = load(EvaluationParams, "evaluation")
    evaluation = Evaluation(params)
    if not args.student:
        name = TEACHER
        models = {task: grid.teacher(task) for task in layout.tasks}
        metrics = {task: evaluation.of(trained_on(model), model, task) for task, model in models.items()}
        if "alignment" in models:
            metrics["alignment"] |= evaluation.mean_shape(trained_on(models["alignment"]))
        first = models["classification"]
        metrics["negatives"] = evaluation.negatives(trained_on(first), first)
        metrics |= {"far": params.far, "identified": evaluation.identified}
    else:
        name = f"{OWN}/{args.student}/{args.own}" if args.own else args.student
        for cell in cells(layout):
            if cell.run == name:
                # A margin's students share their teacher's space.
                teacher = grid.teacher(cell.task) if cell.task in layout.margins else None
                found = evaluation.of(trained_on(cell.model), cell.model, cell.name, teacher)
                node = metrics
                for part in cell.path[:-1]:
                    node = node.setdefault(part, {})
                node[cell.path[-1]] = found
    write_json(grid.metrics(name), metrics)
    evaluation.save(EVALUATION / name)


if __name__ == "__main__":
    run(main)
