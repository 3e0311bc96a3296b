"""What `stages.lanes` costs, what kills do to it, and how long the paper's sizes would take on many GPUs.

python -m benchmarks.lanes overhead     # a toy grid of 41 stages: `dvc repro` against lanes, in turns; minutes
python -m benchmarks.lanes kills 20     # so many kills of workers that share an SSH server alone
python -m benchmarks.lanes schedule     # simulated: the stages of params/casia-celeba-lfw.yaml, in an instant
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from facedistill import profile
from facedistill.grid.layout import Layout
from facedistill.results.markdown import table
from stages.lanes import schedule
from stages.lanes.pipeline import Stage, changed_stages

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))
from machines import Machines, apart, ended, grid, kill_some, machines  # noqa: E402
from toy_repository import dvc, run  # noqa: E402

TURNS = 3
GPUS = (1, 8, 64)

TEACHER, ASKED, STUDENT = 0.27e-3, 0.08e-3, 0.06e-3
"""Seconds for each crop of 224 px on an H200: a training step of ResNet-50, its forward pass, and a student's step.

They are estimates, made from published figures of other GPUs. Nobody has measured them."""

CROPS = {"classification": 395_000, "alignment": 162_000}
"""80 % of CASIA-WebFace and of CelebA."""

OTHERS = {"prepare": 60, "align_crop": 120, "measure_cost": 120, "evaluate": 60, "evaluate_teacher": 120, "export": 120}
"""Estimates for stages that train nothing, in seconds. `report` takes as long as `export`."""


def main() -> None:
    match sys.argv[1:]:
        case ["overhead"]:
            overhead()
        case ["kills", count]:
            kills(int(count))
        case ["schedule"]:
            simulate()
        case _:
            sys.exit(__doc__)


def overhead() -> None:
    """Time a grid whose stages do nothing."""
    ways: dict[str, Callable[[Machines], object]] = {
        "`dvc repro`": lambda at: dvc(at.asker, "repro", "-q"),
        "`stages.lanes 1`": lambda at: here(at, "1"),
        "`stages.lanes 2`": lambda at: here(at, "2"),
        "two workers that share a folder": lambda at: ended(at.lanes()),
        "two workers that share a remote": lambda at: ended(at.lanes("--remote", "far")),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            with TemporaryDirectory() as folder, toy(Path(folder)) as at:
                began = perf_counter()
                way(at)
                times[name].append((perf_counter() - began) / 41)
    first = median(times["`dvc repro`"])
    rows = [[name, f"{median(found):.2f}", f"{median(found) / first:.2f}"] for name, found in times.items()]
    print(table(["41 stages that do nothing", "s a stage", "against `dvc repro`"], rows))


@contextmanager
def toy(folder: Path) -> Iterator[Machines]:
    """The grid, and two workers that know a remote."""
    asker = grid(folder / "grid", seconds=0)
    dvc(asker, "remote", "add", "-q", "far", str(folder / "storage"))
    run(asker, "git", "commit", "-qam", "a remote")
    run(folder, "git", "clone", "-q", "--bare", str(asker), "git")
    run(asker, "git", "remote", "add", "origin", str(folder / "git"))
    with machines(folder, asker, 2) as found:
        yield found


def here(at: Machines, lanes: str) -> None:
    """Run the grid in lanes of this machine."""
    environment = at.environment | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.lanes", lanes]
    subprocess.run(command, cwd=at.asker, env=environment, check=True, capture_output=True)


def kills(count: int) -> None:
    """Kill workers at random moments, run after run, and compare every dvc.lock with the one of `dvc repro`."""
    killed, runs = 0, 0
    while killed < count:
        with TemporaryDirectory() as folder, apart(Path(folder), 4) as at:
            lanes = at.lanes("--remote", "far")
            killed += len(kill_some(at, lanes, count - killed, 6, seed=runs))
            ended(lanes, 900)
            dvc(at.folder / "grid", "repro", "-q")
            same = (at.asker / "dvc.lock").read_bytes() == (at.folder / "grid/dvc.lock").read_bytes()
            runs += 1
            print(f"run {runs}: {killed} kills so far, dvc.lock {'the same' if same else 'DIFFERENT'}", flush=True)
            if not same:
                sys.exit(1)


def simulate() -> None:
    """Schedule the paper's sizes by the code of `stages.lanes`, with a clock that jumps."""
    with TemporaryDirectory() as folder:
        run(Path(folder), "git", "clone", "-q", str(ROOT), "clone")
        os.chdir(f"{folder}/clone")
        profile.use("casia-celeba-lfw")
        stages = changed_stages()
        seconds = estimates(stages, Layout.read())
    chains: dict[str, float] = {}
    for name, stage in stages.items():
        chains[name] = seconds[name] + max((chains[before] for before in stage.before), default=0)
    rows = [[f"{gpus}", f"{Clock(seconds).run(stages, gpus) / 3600:.1f}"] for gpus in GPUS]
    rows.append(["the longest chain", f"{max(chains.values()) / 3600:.1f}"])
    print(table(["GPUs, a lane each", "hours"], rows))


def estimates(stages: Iterable[str], layout: Layout) -> dict[str, float]:
    """The seconds of each stage. 30 + 30 epochs for whatever trains, and 30 for what a student starts from."""
    recipes = {group.name: len(group.recipes) for group in layout.groups.values()}
    recipes |= {"distill": recipes["table2"], "margin": recipes.get("arcface", 0)}
    found = {}
    for name in stages:
        kind = name.partition("@")[0]
        crops = CROPS["alignment" if "alignment" in name else "classification"]
        if kind.startswith("train_teacher"):
            found[name] = 60 * crops * TEACHER
        elif kind.startswith(("init_student", "pretrain")):
            found[name] = 30 * crops * STUDENT
        elif kind.startswith("distill"):
            found[name] = 60 * crops * (ASKED + STUDENT * recipes.get(kind.removeprefix("distill_"), 1))
        elif kind.startswith(("transfer", "custom")):
            found[name] = 60 * crops * (ASKED + 6 * STUDENT)
        else:
            found[name] = OTHERS.get(kind, OTHERS["export"])
    return found


class Clock:
    """Stages that take no time but on this clock."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds, self.now = seconds, 0.0

    def run(self, stages: Mapping[str, Stage], lanes: int) -> float:
        """The seconds that all stages take in so many lanes."""
        schedule.wait = self.wait  # type: ignore[assignment, attr-defined]
        failed = schedule.reproduce(stages, self.seconds, lambda: lanes, self.start, lambda *_: True)  # type: ignore[arg-type]
        assert not failed
        return self.now

    def start(self, name: str, _priority: int) -> Timed:
        return Timed(self, self.now + self.seconds[name])

    def wait(self, running: Sequence[Timed], **_: object) -> None:
        self.now = min(stage.end for stage in running)


class Timed:
    """A stage that ends at a time. It stands in for a future of Dask's."""

    def __init__(self, clock: Clock, end: float) -> None:
        self.clock, self.end = clock, end

    def done(self) -> bool:
        return self.end <= self.clock.now


if __name__ == "__main__":
    main()
