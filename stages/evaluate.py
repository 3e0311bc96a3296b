"""Evaluate all models of a student, the user's own models of it, or the teachers. Write metrics, and rows for plots."""

from __future__ import annotations

import argparse
from typing import Any

from facedistill.evaluation.models import Evaluation
from facedistill.files import write_json
from facedistill.grid.cells import cells, metrics, teacher
from facedistill.grid.layout import CUSTOM, TEACHER, TEACHERS, EvaluationParams, Layout
from facedistill.learning.parameters import ProcessParams
from facedistill.learning.processes import join
from facedistill.learning.training import trained_on
from facedistill.params import load
from facedistill.paths import EVALUATION
from stages.common import check_crops, run_together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", help="a key of `students` in params.yaml; the teachers if it is left out")
    parser.add_argument(
        "--group", help="one of the user's own groups; or `alignment` or `verification`, for models by `alpha`, `beta`"
    )
    args = parser.parse_args()

    layout, found = Layout.read(), dict[str, Any]()
    # The stages `custom_alignment` and `custom_verification` have compared the crops before they trained these cells.
    if args.group not in TEACHERS:
        check_crops(*load(dict[str, Any], "datasets"))
    params, process = load(EvaluationParams, "evaluation"), join(load(ProcessParams, "processes"))
    evaluation = Evaluation(params, process)
    if not process.is_main:
        evaluation.help()
        return
    if not args.student:
        name = TEACHER
        models = {task: teacher(task) for task in layout.tasks}
        found = {task: evaluation.of(trained_on(model), model, task) for task, model in models.items()}
        if "alignment" in models:
            found["alignment"] |= evaluation.mean_shape(trained_on(models["alignment"]))
        first = models["classification"]
        found["negatives"] = evaluation.negatives(trained_on(first), first)
        found |= {"far": params.far, "identified": evaluation.identified}
    else:
        name = f"{CUSTOM}/{args.student}/{args.group}" if args.group else args.student
        for cell in cells(layout):
            if cell.run == name:
                # A margin's students share their teacher's space.
                shared = teacher(cell.task) if cell.task in layout.margins else None
                node = found
                for part in cell.path[:-1]:
                    node = node.setdefault(part, {})
                node[cell.path[-1]] = evaluation.of(trained_on(cell.model), cell.model, cell.name, shared)
    evaluation.dismiss()
    write_json(metrics(name), found)
    evaluation.save(EVALUATION / name)


if __name__ == "__main__":
    run_together(main)
