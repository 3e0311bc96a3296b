"""What `stages.lanes` adds to each worker of Dask: its lanes and GPUs as resources, and the processes of its stages.

Workers get this file from the one who asks, by value, so they need no clone to begin with.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil
from distributed import Status, Worker, WorkerPlugin, get_worker

from facedistill.machine import cores, gpus

POOL = "facedistill_gpus"
"""The name under which a worker keeps its free GPUs, for all who ask it."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Lanes(WorkerPlugin):
    """The stages that run on one worker for one who asks. name: tells those who ask apart."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def setup(self, worker: Worker) -> None:
        """Tell the scheduler what this machine has. What `dask worker --resources` said counts more."""
        if worker.nanny:
            # Dask's nanny sets these to 1, for tasks that are a thread each. Here each is a program.
            for name in THREADS:
                if os.environ.get(name) == "1":
                    del os.environ[name]
        self.lanes, self.folder = worker.state.nthreads, Path(worker.local_directory)
        self.free, self.ended = [*range(self.lanes)], False
        self.guards: set[subprocess.Popen[bytes]] = set()
        if POOL not in vars(worker):
            found = gpus()
            # With fewer GPUs than lanes, several stages share one.
            vars(worker)[POOL] = found * -(-self.lanes // max(1, len(found)))
        self.pool: list[str] = vars(worker)[POOL]
        memory = worker.memory_manager.memory_limit or psutil.virtual_memory().total
        self.has = {"lane": self.lanes, "threads": cores(), "gpu": len(self.pool), "memory": memory}
        await worker.set_resources(**self.has | worker.state.total_resources)
        # The scheduler looks at the tasks that wait when a worker begins to run, and not when it gets resources.
        worker.status = Status.paused
        worker.status = Status.running

    async def teardown(self, worker: Worker) -> None:
        """End the stages, and return when they have ended."""
        self.ended = True
        for guard in [*self.guards]:
            if guard.stdin:
                guard.stdin.close()
        while self.guards:
            await asyncio.sleep(0.05)
        shutil.rmtree(self.folder / self.name, ignore_errors=True)

    def run(self, job: Mapping[str, Any], source: str) -> dict[str, Any]:
        """Run a stage by guard.py, whose source is given. Returns its answer, with the name of this machine."""
        lane, taken = self.free.pop(), [self.pool.pop(0) for _ in range(min(job["gpu"], len(self.pool)))]
        clone, cache = self.folder / self.name / str(lane), self.folder / "dvc-cache"
        command = [sys.executable, "-c", source]
        pipe = subprocess.PIPE
        environment = os.environ | self.share(job, taken)
        try:
            with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, start_new_session=True) as guard:
                self.guards.add(guard)
                if self.ended or not guard.stdin or not guard.stdout:
                    raise RuntimeError("ended")
                guard.stdin.write(json.dumps({**job, "clone": str(clone), "cache": str(cache)}).encode() + b"\n")
                guard.stdin.flush()
                said = guard.stdout.read()
            if not said:
                raise RuntimeError(f"the process that ran {job['stage']} on {socket.gethostname()} was killed")
            return {**json.loads(said), "machine": socket.gethostname()}
        finally:
            self.guards.discard(guard)
            self.pool.extend(taken)
            self.free.append(lane)

    def share(self, job: Mapping[str, Any], taken: list[str]) -> dict[str, str]:
        """The environment variables of a stage: its share of the cores, and its GPUs. A stage that is alone has all."""
        threads = job["threads"] or os.environ.get("OMP_NUM_THREADS") or max(1, cores() // self.lanes)
        found = {"OMP_NUM_THREADS": str(threads)}
        if self.has["gpu"] and not job["alone"]:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(taken))
        return found


def run(name: str, job: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Run a stage on the worker that runs this task, by the plugin with this name."""
    return cast(Lanes, get_worker().plugins[name]).run(job, source)
