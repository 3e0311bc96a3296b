"""`dvc repro`, several stages at a time.

    python -m stages.lanes 2                                  # two at a time, each on half of the cores
    python -m stages.lanes 4                                  # four at a time, each on one of the GPUs there are

The results are those of `dvc repro`, which runs each stage once all stages that it depends on have ended. A stage with
`meta: {alone: true}` in dvc.yaml measures time, so it never runs beside another. If a stage fails, its output is shown,
no other stage begins, and the running ones go on to their end. Ctrl-C works as in `dvc repro`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from tqdm import tqdm

from facedistill.machine import cores, gpus
from stages import progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lanes", type=int, help="how many stages may run at a time")
    lanes = parser.parse_args().lanes
    if lanes < 1:
        parser.error(f"lanes: expected 1 or more, found {lanes}")
    needs, alone = changed_stages()
    found_gpus = gpus()
    began = time.monotonic()
    with tqdm(total=len(needs), unit=" stages", disable=None) as bar:

        def run(stage: str, lane: int) -> bool:
            start = time.monotonic()
            command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
            ended = subprocess.run(
                command,
                env=os.environ | {"PYTHONIOENCODING": "utf-8"} | share(lane, lanes, os.environ, found_gpus),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # A program that a stage runs may print in any encoding.
                encoding="utf-8",
                errors="backslashreplace",
                check=False,
            )
            bar.write(f"{stage}: {time.monotonic() - start:.0f} s" if not ended.returncode else ended.stdout)
            bar.update()
            return not ended.returncode

        failed = reproduce(needs, lanes, run, progress.times(), alone)
    if failed:
        sys.exit(f"{failed} failed; correct the error and run this again: it goes on from there")
    print(f"{len(needs)} stages in {time.monotonic() - began:.0f} s" if needs else "Everything is up to date")


def changed_stages() -> tuple[dict[str, set[str]], set[str]]:
    """The stages that `dvc repro` would check, and the stages that must run alone.

    The first are those that have changed and all that follow them, in the order of the pipeline. Each has the names of
    those that it needs. Stages that are up to date are in neither place.
    """
    # DVC takes half a second to import.
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    with Repo() as repo:
        graph, changed = repo.index.graph, repo.status()
        needs: dict[str, set[str]] = {}
        for stage in plan_repro(get_active_graph(graph)):
            needed = {other.addressing for other in graph.successors(stage)} & needs.keys()
            if needed or stage.addressing in changed:
                needs[stage.addressing] = needed
        return needs, {stage.addressing for stage in graph if (stage.meta or {}).get("alone")}


def share(lane: int, lanes: int, environment: Mapping[str, str], gpus: Sequence[str]) -> dict[str, str]:
    """The environment variables of a lane: its share of the cores, and one of the GPUs."""
    found = {"OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS", str(max(1, cores() // lanes)))}
    if gpus:
        found["CUDA_VISIBLE_DEVICES"] = gpus[lane % len(gpus)]
    return found


def reproduce(
    needs: Mapping[str, set[str]],
    lanes: int,
    run: Callable[[str, int], bool],
    seconds: Mapping[str, float],
    alone: Collection[str] = (),
) -> str | None:
    """Run every stage as soon as those that it needs have succeeded. Returns the first stage that failed, or None.

    needs: the stages that each stage needs, in an order in which all could run one after the other.
    lanes: the most stages that run at a time.
    run: takes a stage and the number of its lane, and returns whether the stage succeeded.
    seconds: how long each stage took the last time. The ready stage with the longest chain after it goes first.
    alone: stages that never run beside another.

    After a failure no other stage begins.
    """
    chains: dict[str, float] = {}
    for stage in reversed([*needs]):
        after = [chains[other] for other in chains if stage in needs[other]]
        chains[stage] = seconds.get(stage, 0) + max(after, default=0)
    waiting, done = sorted(needs, key=lambda stage: -chains[stage]), set[str]()
    running: dict[Future[bool], tuple[str, int]] = {}
    free, failed = [*range(lanes)], None
    with ThreadPoolExecutor(lanes) as pool:
        while True:
            ready = [] if failed else [stage for stage in waiting if needs[stage] <= done]
            together = [stage for stage in ready if stage not in alone]
            # A stage that runs alone begins when nothing else is ready or running.
            starting = together[: len(free)] if together or running else ready[:1]
            for stage in starting:
                waiting.remove(stage)
                lane = free.pop()
                running[pool.submit(run, stage, lane)] = stage, lane
            if not running:
                return failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage, lane = running.pop(future)
                free.append(lane)
                if future.result():
                    done.add(stage)
                else:
                    failed = failed or stage


if __name__ == "__main__":
    main()
