"""Ask the teacher of a task once for every training crop and its mirror image, and store its answers."""

from __future__ import annotations

import argparse
import shutil

from facedistill.grid.cells import teacher
from facedistill.learning.parameters import ProcessParams, TaskParams
from facedistill.learning.processes import join
from facedistill.learning.teachers.importing import ask_model
from facedistill.learning.training_set import training_crops
from facedistill.params import load
from facedistill.paths import ANSWERS
from stages.common import check_crops, run_together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a task of `teacher.stored` in params.yaml")
    args = parser.parse_args()

    task = load(TaskParams, f"tasks.{args.task}")
    check_crops(task.dataset)
    process = join(load(ProcessParams, "processes"))
    # If an import has asked already, its answers are there.
    found = ask_model(teacher(args.task), training_crops(task, process.is_main), task.input, process)
    if process.is_main:
        out = ANSWERS / args.task
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        found.rename(out)


if __name__ == "__main__":
    run_together(main)
