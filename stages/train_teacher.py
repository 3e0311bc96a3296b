"""Make a teacher: train it, or import it (`teacher.source`).

For classification it is trained from random weights (H(y, P_T)), else from W_T^cls (Equations 6 and 8). An imported
teacher serves classification and the margins. The other tasks then train teachers of their own from random weights.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from facedistill.grid.cells import teacher
from facedistill.learning.parameters import EquationParams, ProcessParams, TaskParams, TeacherParams
from facedistill.learning.training import Plan, train_networks
from facedistill.params import load
from facedistill.recipe import Recipe
from stages.common import check_crops, run_together, training_params, write_speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a key of `tasks` in params.yaml")
    args = parser.parse_args()

    task = load(TaskParams, f"tasks.{args.task}")
    params = load(TeacherParams, "teacher")
    if params.source != "trained" and (args.task == "classification" or task.margin_softmax):
        take(args.task, task, params)
        return
    start = "classification" if params.source == "trained" and args.task != "classification" else None
    plan = Plan(teacher(args.task), Recipe(phi=task.phi, start=start), teacher(start) if start else None)
    write_speed(plan.model, train_networks(**training_params(task, [plan], "teacher.network", "teacher.rates")))


def take(name: str, task: TaskParams, params: TeacherParams) -> None:
    """Import the teacher of a task. A margin takes what classification has imported."""
    from facedistill.learning import model_files
    from facedistill.learning.processes import join
    from facedistill.learning.teachers.importing import import_teacher
    from facedistill.learning.training_set import data_record, training_crops

    check_crops(task.dataset)
    process = join(load(ProcessParams, "processes"))
    crops = training_crops(task, process.is_main)
    record = {
        "model": str(teacher(name)),
        "task": asdict(task),
        "recipe": asdict(Recipe(phi=task.phi)),
        "seed": load(int, "seed"),
        "data": data_record(crops),
    }
    assert params.imported is not None
    if not task.margin_softmax:
        import_teacher(params.imported, teacher(name), crops, params.scale, record, process)
    elif process.is_main:
        network = model_files.load(teacher("classification"))
        # Students of a margin compare their logits with the teacher's, so both have one scale.
        network.scale = load(EquationParams, "equation").scale
        model_files.save(teacher(name), network, record)
    if process.is_main:
        write_speed(teacher(name), {str(teacher(name)): {"networks": 0, "compute_seconds": 0.0}})


if __name__ == "__main__":
    run_together(main)
