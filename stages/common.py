"""What the stage scripts share: how a stage ends when something is wrong, and the parameters of all training."""

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
from facedistill.params import PARAMS_FILE, check, load
from facedistill.paths import CROPS, MODELS, RESUME, SPEED
from facedistill.schema import check_file
from stages import BEGAN, progress

if TYPE_CHECKING:
    from facedistill.learning.parameters import ArchitectureParams, TaskParams
    from facedistill.learning.training import Plan

END_SECONDS = 60
"""How long a stage that has failed may take to end."""


def run(main: Callable[[], None]) -> None:
    """Run a stage, which ends in END_SECONDS after an error, whatever it has left running.

    No second process of the same stage runs beside it. Its snapshots go once it has ended well. On a terminal it begins
    with where it stands among all stages.
    """
    parent, folder = os.getppid(), workspace()
    stopped = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "process"
    try:
        with FileLock(folder / "lock", timeout=0):
            holder.write_text(str(os.getpid()), encoding="utf-8")
            progress.announce()
            check_file()
            main()
            # What goes on from a snapshot took longer than this; and what is done does not fail for want of a time.
            if not stopped:
                with suppress(OSError):
                    progress.note(time.perf_counter() - BEGAN)
            # Where dvc was killed meanwhile, it will run the stage again: then that takes seconds.
            if os.getppid() == parent:
                shutil.rmtree(folder)
    except Timeout:
        pid = holder.read_text(encoding="utf-8") if holder.exists() else "unknown"
        sys.exit(
            f"this stage runs already, as process {pid}, left perhaps by a dvc that was stopped; wait until it "
            f"ends, or stop it (kill {pid}), then run this again: it goes on from the last snapshot"
        )
    except BaseException:
        # Python waits for threads and processes: those that do not end are shown, and ended with this one.
        if sys.stderr:
            faulthandler.dump_traceback_later(END_SECONDS, exit=True)
        raise


def run_training(main: Callable[[], None]) -> None:
    """Run a stage that trains, in as many processes as `processes` in params.yaml says: see `run`."""
    from facedistill.learning.parameters import ProcessParams
    from facedistill.learning.processes import LAUNCHED

    def start() -> None:
        processes = load(ProcessParams, "processes")
        if processes.world_size == 1:
            main()
        else:
            from facedistill.learning.distributed import launch

            launch(processes, workspace())

    if LAUNCHED in os.environ:
        from facedistill.learning.distributed import work

        work(main)
    else:
        run(start)


def workspace() -> Path:
    """The folder of this stage's lock and snapshots, by its command line."""
    words = [Path(sys.argv[0]).stem, *(argument.removeprefix("--") for argument in sys.argv[1:])]
    return RESUME / re.sub(r"[^\w.+-]", "_", "-".join(words))


def network_params(section: str) -> tuple[ArchitectureParams, int]:
    """The network in a section of params.yaml, and the seed that it is trained with: its own or that of all."""
    from facedistill.learning.parameters import ArchitectureParams

    values = load(dict[str, Any], section)
    seed = values.pop("seed", load(int, "seed"))
    network: ArchitectureParams = check(ArchitectureParams, values, f"{PARAMS_FILE}: {section}")
    return network, check(int, seed, f"{PARAMS_FILE}: {section}.seed")


def check_crops(*names: str) -> None:
    """Raises DataError where crops of these data sets are not as params.yaml says: another run left them."""
    from facedistill.crops import DataError
    from facedistill.crops.shards import Crops

    for name in names:
        asked = load(int, f"datasets.{name}.crop.pixels")
        if (found := Crops(CROPS / name, "test", verify=False).pixels) != asked:
            raise DataError(
                f"{CROPS / name}: crops of {found} px, and datasets.{name}.crop.pixels is {asked}; run "
                f"`dvc repro -f align_crop@{name}`"
            )


def training_params(task: TaskParams, plans: Sequence[Plan], network: str, rates: str = "rates") -> dict[str, Any]:
    """The keyword arguments of `train_networks` that every training stage has, for plans of one rate.

    network, rates: the sections of params.yaml that hold the network, with a seed of its own perhaps, and the
    optimisation of each rate. Raises DataError as `check_crops` does.
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


def write_speed(out: Path, rounds: dict[str, Any]) -> None:
    """What `train_networks` says of its time, as metrics of the training stage whose first output is `out`.

    Nothing if it is empty, as it is in a process that is not the main one.
    """
    if rounds:
        write_json(SPEED / f"{out.relative_to(MODELS)}.json", rounds)
