"""Code that the stage scripts share: it runs a stage, ends it after an error, and reads the parameters of training."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from facedistill.files import write_json
from facedistill.machine import LAUNCHED
from facedistill.params import PARAMS_FILE, check, load
from facedistill.paths import ANSWERS, CROPS, MODELS, RESUME, SPEED
from facedistill.schema import check_file
from stages import BEGAN, progress
from stages.warm import parent

if TYPE_CHECKING:
    from facedistill.grid.layout import Group
    from facedistill.learning.parameters import ArchitectureParams, TaskParams
    from facedistill.learning.training import Plan

END_SECONDS = 60
"""How long a stage may take to end after an error."""


def run(main: Callable[[], None]) -> None:
    """Run a stage. After an error it ends within END_SECONDS, even if threads or processes are left running.

    A lock keeps a second process of the same stage from running at the same time. The snapshots of the stage are
    removed when the stage has succeeded. On a terminal, the stage first prints how far the pipeline is.
    """
    started_by, folder = parent(), workspace()
    stopped = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "process"
    try:
        with FileLock(folder / "lock", timeout=0):
            holder.write_text(str(os.getpid()), encoding="utf-8")
            progress.announce()
            check_file()
            main()
            # A resumed stage took longer than this, so its time is not kept. A time that cannot be written is no error.
            if not stopped:
                with suppress(OSError):
                    progress.note(time.perf_counter() - BEGAN)
            # If dvc was killed meanwhile, it will run the stage again. With its snapshots, that takes seconds.
            if parent() == started_by:
                shutil.rmtree(folder)
    except Timeout:
        pid = holder.read_text(encoding="utf-8") if holder.exists() else "unknown"
        sys.exit(
            f"this stage is already running as process {pid}, perhaps left by a dvc that was stopped; wait until it "
            f"ends, or stop it (kill {pid}), then run this again: it goes on from the last snapshot"
        )
    except BaseException:
        # Python waits for threads and processes. If they do not end in time, print where they are, and exit.
        if sys.stderr:
            faulthandler.dump_traceback_later(END_SECONDS, exit=True)
        raise


def run_together(main: Callable[[], None]) -> None:
    """Run a stage, as `run` does, in as many processes as `processes` in params.yaml says."""
    from facedistill.learning.parameters import ProcessParams

    def start() -> None:
        processes = load(ProcessParams, "processes")
        if processes.world_size == 1:
            main()
        else:
            from facedistill.learning.processes.launching import launch

            launch(processes, workspace())

    if LAUNCHED in os.environ:
        from facedistill.learning.processes.distributed import work

        work(main)
    else:
        run(start)


def workspace() -> Path:
    """The folder for the lock and the snapshots of this stage. Its name is made from the command line."""
    words = [Path(sys.argv[0]).stem, *(argument.removeprefix("--") for argument in sys.argv[1:])]
    return RESUME / re.sub(r"[^\w.+-]", "_", "-".join(words))


def network_params(section: str) -> tuple[ArchitectureParams, int]:
    """The network in a section of params.yaml, and the seed of its training: its own seed, or else the common one."""
    from facedistill.learning.parameters import ArchitectureParams

    values = load(dict[str, Any], section)
    seed = values.pop("seed", load(int, "seed"))
    network: ArchitectureParams = check(ArchitectureParams, values, f"{PARAMS_FILE}: {section}")
    return network, check(int, seed, f"{PARAMS_FILE}: {section}.seed")


def check_crops(*names: str) -> None:
    """Raises DataError if crops do not have the size of params.yaml, because an earlier run cut them.

    names: keys of `datasets`.
    """
    from facedistill.crops import DataError
    from facedistill.crops.shards import Crops

    for name in names:
        asked = load(int, f"datasets.{name}.crop.pixels")
        if (found := Crops(CROPS / name, "test", verify=False).pixels) != asked:
            raise DataError(
                f"{CROPS / name}: crops of {found} px, but datasets.{name}.crop.pixels is {asked}; run "
                f"`dvc repro -f align_crop@{name}`"
            )


def training_params(task: TaskParams, plans: Sequence[Plan], network: str, rates: str = "rates") -> dict[str, Any]:
    """The keyword arguments of `train_networks` that all training stages share, for plans with one rate.

    task: what is trained.
    plans: the trainings of this stage.
    network: the section of params.yaml that has the network, and perhaps a seed of its own.
    rates: the section that has the optimisation for each rate.

    Raises DataError as `check_crops` does.
    """
    from facedistill.learning.parameters import (
        EquationParams,
        LoaderParams,
        OptimisationParams,
        ProcessParams,
        SnapshotParams,
        TrainingParams,
    )

    trained, seed = network_params(network)
    check_crops(task.dataset)
    return {
        "task": task,
        "plans": plans,
        "optimisation": load(OptimisationParams, f"{rates}.{plans[0].recipe.rate_name}"),
        "equation": load(EquationParams, "equation"),
        "training": load(TrainingParams, "training"),
        "loader": load(LoaderParams, "loader"),
        "processes": load(ProcessParams, "processes"),
        "snapshots": load(SnapshotParams, "snapshots"),
        "workspace": workspace(),
        "network": trained,
        "seed": seed,
    }


def train_group(group: Group, student: str) -> None:
    """Train and save a student by every recipe of a group, with the teacher of its task. `init` has no teacher."""
    from facedistill.grid.cells import folder, teacher
    from facedistill.grid.layout import INIT
    from facedistill.learning.parameters import TaskParams
    from facedistill.learning.teachers import Guide
    from facedistill.learning.training import Plan, rounds, train_networks

    task = load(TaskParams, f"tasks.{group.task}")
    guide = None if group.name == INIT else Guide(teacher(group.task), stored_answers(group.task))
    plans, out = [], folder(student, group)
    for name, recipe in group.recipes.items():
        start = group.start(name)
        first = start and (out if start[0] == group.name else MODELS / student / start[0]) / start[1]
        plans.append(Plan(out / name, recipe, first))
    speed: dict[str, Any] = {}
    if not plans:
        # Without names `init` has no recipe, but DVC still expects its outputs.
        out.mkdir(parents=True, exist_ok=True)
        speed[str(out)] = {"networks": 0, "compute_seconds": 0.0}
    for together in rounds(plans):
        speed |= train_networks(
            soft_teacher=guide, hidden_teacher=guide, **training_params(task, together, f"students.{student}")
        )
    # DVC tracks the models of a group as one folder.
    write_speed(out, speed)


def stored_answers(task: str) -> Path | None:
    """The folder with the stored answers of the teacher of a task; None if `teacher.stored` does not list the task.

    An imported teacher is one network for all tasks, so it is asked once, for classification.
    """
    from facedistill.learning.parameters import TeacherParams

    params = load(TeacherParams, "teacher")
    asked = task if params.source == "trained" else "classification"
    return ANSWERS / asked if asked in params.stored else None


def write_speed(out: Path, rounds: dict[str, Any]) -> None:
    """Write the times of a training stage.

    out: the first output of the stage.
    rounds: what `train_networks` returns. It is empty in every process but the main one; then nothing is written.
    """
    if rounds:
        write_json(SPEED / f"{out.relative_to(MODELS)}.json", rounds)
