"""`dvc repro`, several stages at a time, on this machine or on many.

    python -m stages.lanes 2                                  # two at a time, each on half of the cores
    python -m stages.lanes 4                                  # four at a time, each on one of the GPUs there are
    python -m stages.lanes 4 --ssh one two three              # four at a time on each of these machines
    python -m stages.lanes 1 --slurm 8                        # in eight jobs of Slurm
    python -m stages.lanes --scheduler tcp://host:8786        # on a cluster of Dask that is there
    python -m stages.lanes 2 -S alpha=0 && dvc exp save       # an experiment of DVC's, as by `dvc exp run -S alpha=0`

The results are those of `dvc repro`, which runs each stage once all stages that it depends on have ended. The machines
share this folder, or with `--remote NAME` only that remote of DVC's. `meta` in dvc.yaml says what a stage needs: one
with `alone: true` measures time, so it never runs beside another. If a stage fails, its output is shown, no other stage
begins, and the running ones go on to their end. Ctrl-C asks all stages to end, wherever they run, and waits for them.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import cloudpickle
from distributed import Client, Future
from tqdm import tqdm

from facedistill import machine
from stages import progress
from stages.lanes import guard, worker
from stages.lanes.clusters import connected, machines
from stages.lanes.pipeline import Shared, Stage, changed_stages, locked_stages, put_in_order, set_params
from stages.lanes.schedule import LOOK, reproduce


def main() -> None:
    asked = arguments()
    if asked.set_param:
        set_params(asked.set_param)
    stages, locked = changed_stages(), locked_stages()
    if not stages:
        print("Everything is up to date")
        return
    began = time.monotonic()
    with connected(asked) as client:
        print(f"What runs where: {client.dashboard_link}", file=sys.stderr)
        shared = Shared.of(asked.remote) if asked.remote else None
        try:
            failed = Run(client, stages, shared).go(asked.keep_going)
        finally:
            put_in_order([*locked, *stages])
    if failed:
        sys.exit(f"{', '.join(failed)} failed; correct the error and run this again: it goes on from there")
    print(f"{len(stages)} stages in {time.monotonic() - began:.0f} s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lanes", type=int, nargs="?", help="how many stages may run at a time on each machine")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="URL", help="a scheduler of Dask; its workers' threads are the lanes")
    where.add_argument("--ssh", nargs="+", metavar="HOST", help="machines that `ssh HOST` reaches without a question")
    where.add_argument("--slurm", type=int, metavar="JOBS", help="how many jobs, as jobqueue.slurm in Dask's settings")
    parser.add_argument("--remote", metavar="NAME", help="the machines share no folder, only this remote of DVC's")
    parser.add_argument("--keep-going", action="store_true", help="after a failure, run what does not depend on it")
    parser.add_argument("-S", "--set-param", metavar="KEY=VALUE", action="append", help="as for `dvc exp run`")
    asked = parser.parse_args()
    if asked.lanes is None:
        if not (asked.scheduler or asked.ssh or asked.slurm):
            parser.error("lanes: say how many stages may run at a time, such as 2")
        asked.lanes = 1
    for name in ("lanes", "slurm"):
        if (found := getattr(asked, name)) is not None and found < 1:
            parser.error(f"{name}: expected 1 or more, found {found}")
    return asked


class Run:
    """One run of the pipeline on the machines of a client."""

    def __init__(self, client: Client, stages: dict[str, Stage], shared: Shared | None) -> None:
        self.client, self.stages, self.shared, self.name = client, stages, shared, f"lanes-{uuid4().hex[:8]}"
        self.source = inspect.getsource(guard)
        self.here = str(client.scheduler_info()["address"]).startswith("inproc")

    def go(self, keep_going: bool) -> list[str]:
        """Run the stages. Returns those that failed."""
        # Workers have no clone that they could import these from.
        for module in (machine, worker):
            cloudpickle.register_pickle_by_value(module)
        if self.shared:
            self.shared.push(self.stages)
        self.client.register_plugin(worker.Lanes(self.name), name=self.name)
        try:
            while not (there := machines(self.client)):
                time.sleep(LOOK)
            for name, stage in self.stages.items():
                stage.needs.check(name, there)
            with tqdm(total=len(self.stages), unit=" stages", disable=None) as self.bar:
                return reproduce(self.stages, progress.times(), self.lanes, self.start, self.succeeded, keep_going)
        finally:
            self.client.unregister_worker_plugin(self.name)

    def lanes(self) -> int:
        """How many stages all machines together may run at a time now."""
        return int(sum(machine["lane"] for machine in machines(self.client)))

    def start(self, name: str, priority: int) -> Future[Any]:
        """Hand a stage to Dask."""
        stage = self.stages[name]
        where = self.shared.job(stage) if self.shared else {"folder": str(Path.cwd())}
        needs = {"threads": stage.needs.threads, "gpu": stage.needs.gpu, "alone": stage.needs.alone}
        return self.client.submit(
            worker.run,
            self.name,
            {"stage": name, **needs, **where},
            self.source,
            key=f"{name}-{self.name}",
            resources=stage.needs.resources(machines(self.client)),
            priority=priority,
        )

    def succeeded(self, name: str, future: Future[Any]) -> bool:
        """Whether a stage succeeded. Takes over what it left elsewhere, and says how long it took or why it failed."""
        try:
            answer = future.result()
            if answer["succeeded"] and self.shared:
                self.shared.adopt(name, answer)
        except Exception as error:
            answer = {"succeeded": False, "said": f"{name}: {type(error).__name__}: {error}"}
        if answer["succeeded"]:
            answer["said"] = f"{name}: {answer['seconds']:.0f} s"
            if not self.here:
                answer["said"] += f" on {answer['machine']}"
        self.bar.write(answer["said"])
        self.bar.update()
        return bool(answer["succeeded"])


if __name__ == "__main__":
    main()
