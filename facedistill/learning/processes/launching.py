"""Starts the processes of a stage, and starts them again if one of them is killed or a machine is lost.

Each machine has a launcher, which runs an elastic agent of PyTorch's. The launchers meet at `processes.endpoint`. There
the first machine keeps a store, in which each writes why its processes ended. A stage that runs in one process does not
import this module.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec, WorkerState
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.api import SubprocessContext
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousClosedError, RendezvousError, RendezvousParameters
from torch.distributed.elastic.rendezvous.c10d_rendezvous_backend import create_backend
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import DynamicRendezvousHandler, create_handler
from torch.distributed.elastic.utils.store import barrier

from facedistill.learning.parameters import ProcessParams
from facedistill.machine import LAUNCHED, cores
from facedistill.params import PARAMS_FILE, ParamsError

MEETING_SECONDS = 1800
"""How long a machine waits for the other machines: they may still be busy with an earlier stage."""

REGROUP_SECONDS = 60
"""How long machines that start again wait for one that is missing, before they go on without it."""

HEARTBEAT_SECONDS, HEARTBEATS = 5, 6
"""How often a launcher says that it lives, and after how many missing times it is lost."""

ANSWER_SECONDS = 75
"""How long a launcher waits for the others to say why their processes ended. Ending them takes up to 30 seconds."""

ENDED = (signal.SIGTERM, signal.SIGABRT)
"""Signals that end a process because another one died first: SIGTERM by the elastic agent, SIGABRT by NCCL."""

KILLED, FAILED, LOST = range(3)
"""Why processes ended: one was killed, or else one raised an error, or else all have only lost the others."""

Why = tuple[int, str]
"""KILLED, FAILED or LOST, and in words."""

AGAIN = "`dvc repro` goes on from its snapshot"


def launch(params: ProcessParams, workspace: Path) -> None:
    """Run the command line of this process in `params.devices` new processes, and wait until they end.

    All machines have to come. If a process is killed or a machine is lost afterwards, those that are left start again,
    `params.restarts` times. If a process fails, this one ends with the error of the first that did. Raises ParamsError
    if the machine lacks the GPUs.
    """
    gpus = torch.cuda.device_count()
    if gpus and gpus < params.devices:
        raise ParamsError(f"{PARAMS_FILE}: processes.devices: {params.devices}, but this machine has {gpus} GPUs")
    # The elastic agent would log at length the error that we show below.
    logging.disable()
    os.environ[LAUNCHED] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // params.devices)))
    # The agent's own store would keep the addresses of processes that are gone.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    logs = workspace / "processes"
    logs.mkdir(exist_ok=True)
    meeting = RendezvousParameters(
        backend="c10d",
        endpoint=params.endpoint or "localhost:0",
        run_id=workspace.name,
        min_nodes=1,
        max_nodes=params.nodes,
        local_addr=None if params.endpoint else "localhost",
        join_timeout=MEETING_SECONDS,
        read_timeout=MEETING_SECONDS,
        last_call_timeout=REGROUP_SECONDS,
        keep_alive_interval=HEARTBEAT_SECONDS,
        keep_alive_max_attempt=HEARTBEATS,
    )
    try:
        backend, store = create_backend(meeting)
        # Every machine writes outputs of its own, so none begins without the others.
        barrier(store, params.nodes, f"{workspace.name}/come", MEETING_SECONDS)
    except (RendezvousError, dist.DistError):
        sys.exit(f"{params.nodes} machines have to meet at {params.endpoint}, and not all have come; start them again")
    handler = create_handler(store, backend, meeting)
    role = WorkerSpec(
        role="stage",
        local_world_size=params.devices,
        entrypoint=sys.executable,
        args=tuple(sys.orig_argv[1:]),
        rdzv_handler=handler,
        max_restarts=params.restarts,
    )
    agent = Agent(role, DefaultLogsSpecs(log_dir=str(logs)))
    try:
        result = agent.run()
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)
    except RendezvousClosedError:
        sys.exit(f"another machine has ended this stage, and says why; then {AGAIN}")
    except (RendezvousError, dist.DistError):
        sys.exit(f"the machine of {params.endpoint} does not answer any more; {AGAIN}")
    handler.shutdown()
    if result.state is not WorkerState.SUCCEEDED:
        sys.exit(agent.why[1] + (f"; {AGAIN}" if agent.why[0] == KILLED else ""))


class Agent(LocalElasticAgent):
    """An elastic agent that starts its processes again only if one was killed or a machine is lost.

    PyTorch's own does so after every error, and waits until a lost machine makes its own processes fail.

    why: why they ended the last time.
    """

    why: Why = LOST, ""

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        group: Any = worker_group  # PyTorch says that its rank and its store are None.
        assert isinstance(self._pcontext, SubprocessContext)
        processes = self._pcontext.subprocess_handlers.items()
        # As soon as one has ended, the agent ends all others. So we look first.
        first = [rank for rank, process in processes if process.proc.poll() is not None]
        result = super()._monitor_workers(group) if first else RunResult(WorkerState.HEALTHY)
        others = self._others(group)
        if result.state is WorkerState.SUCCEEDED or (result.state is WorkerState.HEALTHY and not others):
            return result
        failures = {rank: failure for rank, failure in result.failures.items() if failure.local_rank in first}
        own = _why(failures, group.workers[0].world_size) if failures else (LOST, "")
        group.store.set(_key(group.group_rank), json.dumps(own))
        deadline = time.monotonic() + ANSWER_SECONDS
        while own[0] != KILLED and len(others) < group.group_world_size - 1 and time.monotonic() < deadline:
            time.sleep(0.2)
            others = self._others(group)
        self.why = min([own, *others.values()], key=lambda why: (why[0], not why[1]))
        if self.why[0] != KILLED:
            self._remaining_restarts = 0
        return RunResult(WorkerState.FAILED, failures=result.failures)

    def _restart_workers(self, worker_group: WorkerGroup) -> None:
        limit = worker_group.spec.max_restarts
        again = (
            f"starting again ({limit - self._remaining_restarts} of {limit}), from the last snapshot if there is one"
        )
        print(f"{self.why[1]}; {again}" if self.why[1] else "a machine has come; starting again", file=sys.stderr)
        self.why = LOST, ""
        super()._restart_workers(worker_group)

    def _others(self, group: Any) -> dict[int, Why]:
        """By number of the machine, why the processes of other machines ended; a machine that is lost counts too."""
        handler, found = group.spec.rdzv_handler, dict[int, Why]()
        assert isinstance(handler, DynamicRendezvousHandler)
        # This reads the heartbeats, at most once a second.
        handler.num_nodes_waiting()
        alive = set(handler._state_holder.state.participants.values())
        for machine in range(group.group_world_size):
            if machine == group.group_rank:
                continue
            if group.store.check([_key(machine)]):
                found[machine] = tuple(json.loads(group.store.get(_key(machine))))
            elif machine not in alive:
                found[machine] = KILLED, f"machine {machine + 1} of {group.group_world_size} does not answer"
        return found


def _key(machine: int) -> str:
    return f"end/{machine}"


def _why(failures: Mapping[int, ProcessFailure], processes: int) -> Why:
    """Why the processes with these ranks ended, by the one that explains the most."""
    rank, failure = min(failures.items(), key=lambda item: _order(item[1]))
    said = failure.error_file_data.get("error", f"ended with exit code {failure.exitcode}")
    if failure.exitcode < 0:
        said = f"killed by {failure.signal_name()}, for want of memory perhaps"
    return _order(failure)[0], f"process {rank} of {processes}: {said}"


def _order(failure: ProcessFailure) -> tuple[int, int]:
    """Sort key: first a process that was killed, then the first that raised an error, then those that lost a peer."""
    if failure.exitcode < 0 and -failure.exitcode not in ENDED:
        return KILLED, 0
    moment = failure.error_file_data.get("moment")
    return (LOST, 0) if moment is None else (FAILED, moment)
