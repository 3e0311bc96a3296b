"""Several machines on this one, for tests of `stages.lanes`: workers of Dask with a home and a clone of their own.

They share a git repository and a DVC remote on a real SSH server, and nothing else.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openssh
import yaml
from toy_repository import commit, run

ROOT = Path(__file__).parents[1]
STEP = """\
import sys, time
from pathlib import Path
seconds, out, *sources = sys.argv[1:]
with open('../ran', 'a') as ran:
    ran.write(out + '\\n')
time.sleep(float(seconds))
folder = Path(out)
folder.mkdir(parents=True)
text = out + ' of ' + ', '.join(Path(source, 'text').read_text() for source in sources)
(folder / 'text').write_text(text)
measured = Path('measured', folder.name + '.json')
measured.parent.mkdir(exist_ok=True)
measured.write_text(str(len(text)))
"""
"""A stage that imports nothing, with a folder that DVC keeps and a number that git keeps."""


def grid(folder: Path, width: int = 12, depth: int = 3, seconds: float = 0.1) -> Path:
    """A repository of git with a toy grid: a first stage, `width` chains of `depth`, three that join, `report`.

    `report` reads all numbers that git keeps.
    """
    folder.mkdir(parents=True)
    step, stages = f"python step.py {seconds}", dict[str, Any]()

    def add(name: str, *sources: str, **more: Any) -> None:
        deps = ["step.py", *(f"out/{source}" for source in sources)]
        cmd = f"{step} out/{name} {' '.join(deps[1:])}".strip()
        outs = [f"out/{name}", {f"measured/{name}.json": {"cache": False}}]
        stages[name] = {"cmd": cmd, "deps": deps, "params": ["seed"], "outs": outs} | more

    add("first")
    for i in range(width):
        for j in range(depth):
            add(f"cell{i}-{j}", f"cell{i}-{j - 1}" if j else "first")
    ends = [f"cell{i}-{depth - 1}" for i in range(width)]
    for k in range(3):
        add(f"join{k}", *ends[k::3], meta={"alone": k == 0})
    stages["report"] = {"cmd": "cat measured/*.json > report", "deps": ["measured"], "outs": ["report"]}
    (folder / "step.py").write_text(STEP)
    (folder / "params.yaml").write_text("seed: 0\n")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    for words in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(folder, "git", *words)
    run(folder, sys.executable, "-m", "dvc", "init", "-q")
    commit(folder, "grid")
    return folder


@dataclass
class Machines:
    """A scheduler and its workers. asker: the clone of the one who asks."""

    folder: Path
    asker: Path
    environment: dict[str, str]
    scheduler: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a program of Dask as the machine with this name: its home and its temporary files are its own."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=home,
                env=self.environment | {"HOME": str(home), "DVC_SITE_CACHE_DIR": str(home / "site")},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def work(self, name: str, threads: int = 1) -> None:
        """Start a worker, or start it again. It has no nanny, so that a kill is a kill."""
        words = [
            "--no-nanny",
            "--no-dashboard",
            "--nthreads",
            str(threads),
            "--local-directory",
            str(self.folder / name),
        ]
        self.workers[name] = self.start(name, "distributed.cli.dask_worker", self.scheduler, *words)

    def lanes(self, *words: str) -> subprocess.Popen[str]:
        """Start `stages.lanes` for the one who asks."""
        return subprocess.Popen(
            [sys.executable, "-m", "stages.lanes", "--scheduler", self.scheduler, *words],
            cwd=self.asker,
            env=self.environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def machines(folder: Path, asker: Path, count: int) -> Iterator[Machines]:
    """A scheduler and this many workers, which end with the block."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "OMP_NUM_THREADS")}
    # Commands of the grid say `python`.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    found = Machines(folder, asker, environment | {"DVC_NO_ANALYTICS": "1"})
    port = openssh.free_port()
    found.scheduler = f"tcp://127.0.0.1:{port}"
    try:
        # A stage that is killed with its worker each time is tried again as often as this says.
        found.environment["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "100"
        words = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        found.start("scheduler", "distributed.cli.dask_scheduler", *words)
        for i in range(count):
            found.work(f"machine{i}")
        yield found
    finally:
        found.stop()


@contextmanager
def apart(folder: Path, count: int) -> Iterator[Machines]:
    """Machines that share an SSH server alone, with the grid in git."""
    run(folder, "git", "clone", "-q", "--bare", str(grid(folder / "grid")), "git")
    run(folder, "git", "clone", "-q", str(folder / "git"), "asker")
    (folder / "server").mkdir()
    with openssh.serve(folder / "server") as server:
        storage(folder / "asker/.dvc/config.local", server, folder / "storage")
        for i in range(count):
            storage(folder / f"machine{i}/.config/dvc/config", server, folder / "storage")
        with machines(folder, folder / "asker", count) as found:
            yield found


def storage(machine: Path, server: openssh.Server, folder: Path) -> None:
    """Let a clone, or a home, have the storage `far` on the server. The key is in no repository."""
    text = f"[core]\n    remote = far\n['remote \"far\"']\n    url = {server.at}{folder}\n    keyfile = {server.key}\n"
    machine.parent.mkdir(parents=True, exist_ok=True)
    machine.write_text(text)


def ended(process: subprocess.Popen[str], seconds: float = 300) -> str:
    """What a run said, which has to succeed."""
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, said
    return said


def left(folder: Path) -> list[str]:
    """The command lines of processes whose working folder is below this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wait_until(true: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def kill_some(machines: Machines, asker: subprocess.Popen[str], kills: int, longest: float, seed: int) -> list[str]:
    """Kill workers at random moments while the one who asks waits, and start each again. Returns which were killed.

    longest: the longest time between two kills, in seconds.
    """
    rng, killed = random.Random(seed), list[str]()
    while len(killed) < kills:
        try:
            asker.wait(rng.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            name = rng.choice(sorted(machines.workers))
            os.killpg(machines.workers[name].pid, signal.SIGKILL)
            machines.work(name)
            killed.append(name)
        else:
            break
    return killed
