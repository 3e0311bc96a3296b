"""A training stage in several processes: what starts them, and how they train one network.

Each holds the whole network, takes its part of every batch, and averages gradients with the others (PyTorch's
DistributedDataParallel); what a loss compares within a batch it compares within the whole of it. torchrun's elastic
agent starts them, and ends all where one dies. Where there is one process, nothing here is imported.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler

from facedistill.entry import REPORT, line
from facedistill.learning.batches import Batch, BatchSampler
from facedistill.learning.losses.equation5 import Targets
from facedistill.learning.parameters import ProcessParams
from facedistill.learning.processes import LAUNCHED, Process
from facedistill.learning.student import Loss, Objective
from facedistill.machine import cores
from facedistill.params import PARAMS_FILE, ParamsError

MEETING_SECONDS = 1800
"""How long a machine waits for the others, whose earlier stages may take longer."""

ENDED = (signal.SIGTERM, signal.SIGABRT)
"""What a process dies of that has lost another: the agent's signal, and NCCL's own."""


def launch(params: ProcessParams, workspace: Path) -> None:
    """Run this process's own command line in `params.devices` processes, and wait for their end.

    Ends this process, with the error of the one that failed first, where one does. Raises ParamsError where the machine
    cannot do what is asked.
    """
    gpus = torch.cuda.device_count()
    if gpus and gpus < params.devices:
        raise ParamsError(f"{PARAMS_FILE}: processes.devices: {params.devices}, but this machine has {gpus} GPUs")
    if not gpus and params.batch_norm == "sync":
        raise ParamsError(
            f"{PARAMS_FILE}: processes.batch_norm: sync, of PyTorch, is for GPUs only, and this machine has none; "
            "take local"
        )
    # Its log repeats what is said below, at length.
    logging.disable()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ[LAUNCHED] = str(os.getpid())
    # Without a word where every weight has a gradient, which DistributedDataParallel is prepared not to find.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // params.devices)))
    logs = workspace / "processes"
    logs.mkdir(exist_ok=True)
    config = LaunchConfig(
        min_nodes=params.nodes,
        max_nodes=params.nodes,
        nproc_per_node=params.devices,
        run_id=workspace.name,
        rdzv_backend="c10d",
        rdzv_endpoint=params.endpoint or "localhost:0",
        rdzv_configs={"join_timeout": MEETING_SECONDS, "read_timeout": MEETING_SECONDS},
        local_addr=None if params.endpoint else "localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(logs)),
    )
    try:
        elastic_launch(config, sys.executable)(*sys.orig_argv[1:])
    except ChildFailedError as error:
        rank, failure = min(error.failures.items(), key=lambda item: _order(item[1]))
        said = failure.error_file_data.get("error", f"ended with exit code {failure.exitcode}")
        if failure.exitcode < 0:
            said = (
                f"killed by {failure.signal_name()}, for want of memory perhaps; `dvc repro` goes on from its snapshot"
            )
        sys.exit(f"process {rank} of {params.count}: {said}")
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)


def _order(failure: Any) -> tuple[int, int]:
    """Sorts the process that died by itself before those that lost it: the killed, then the first to say why."""
    if failure.exitcode < 0 and -failure.exitcode not in ENDED:
        return 0, 0
    moment = failure.error_file_data.get("moment")
    return (2, 0) if moment is None else (1, moment)


def work(main: Callable[[], None]) -> None:
    """Run `main` as one of the processes that `launch` started; its error is left to be shown by that one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        main()
    except Exception as error:
        said = line(error) or traceback.format_exc() + REPORT
        # The elastic agent reads `message` and `timestamp`; its own clock counts whole seconds.
        record = {"message": said, "timestamp": int(time.time()), "error": said, "moment": time.time_ns()}
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(record), encoding="utf-8")
        # Not by way of the group's end, which waits for the others.
        os._exit(1)
    if dist.is_initialized():
        dist.destroy_process_group()


def _end_with(launcher: int) -> None:
    """End this process where its launcher was killed: nobody would hold its lock."""
    while os.getppid() == launcher:
        time.sleep(0.5)
    os._exit(1)


class Member(Process):
    """One of several processes that train together; the first of each machine writes.

    Raises ParamsError where their GPU is not there.
    """

    def __init__(self, params: ProcessParams) -> None:
        local, gpu = int(os.environ["LOCAL_RANK"]), torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(local)
        if not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
        self.params, self.writes = params, local == 0
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def part(self, sampler: BatchSampler) -> Sampler[list[tuple[int, int]]]:
        return Part(sampler, self.rank, self.count)

    def objective(self, objective: Objective) -> Loss:
        if self.params.batch_norm == "sync":
            # PyTorch's own conversion would lose the activations that timm's batch norms hold.
            import timm.layers

            timm.layers.convert_sync_batchnorm(objective)  # type: ignore[attr-defined, no-untyped-call]
        return _Whole(objective, self.rank, self.count)

    def gather(self, rows: Tensor) -> Tensor:
        return _Gather.apply(rows, self.rank, self.count)  # type: ignore[no-any-return]

    def agree(self, data: bytes | None) -> bytes | None:
        size = torch.tensor(-1 if data is None else len(data))
        dist.broadcast(size, 0)
        if size < 0:
            return None
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.rank == 0 and data:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(content, 0)
        return content.numpy().tobytes()

    def wait(self) -> None:
        dist.all_reduce(torch.zeros(1))


class Part(Sampler[list[tuple[int, int]]]):
    """The rows of one process: each batch cut into as many equal parts, in its order.

    Raises ParamsError where a batch does not divide into equal parts of two crops or more.
    """

    def __init__(self, whole: BatchSampler, rank: int, count: int) -> None:
        if whole.batch % count or whole.batch == count:
            raise ParamsError(
                f"{PARAMS_FILE}: processes: a batch of {whole.batch} crops has no {count} equal parts of two or more; "
                "change processes.devices, or the task's `batch`"
            )
        self.whole, self.rank, self.count = whole, rank, count

    def __len__(self) -> int:
        return len(self.whole)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for keys in self.whole:
            size = len(keys) // self.count
            yield keys[self.rank * size : (self.rank + 1) * size]


class _Gather(torch.autograd.Function):
    """All processes' rows, in their order. Each takes its own loss's gradient of them: a row's is the sum of these."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, count: int) -> Tensor:
        ctx.rank, ctx.count = rank, count
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(count)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(ctx.count)[ctx.rank], None, None


class _Whole:
    """The loss of a whole batch: its values are the means over the processes' parts, as is the gradient that DDP takes.

    So are the running statistics of batch norm after each step, which are then alike everywhere. Random numbers of a
    pass (dropout) differ by process, and leave one random state whatever the number of processes.
    """

    def __init__(self, objective: Objective, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        # A recipe may leave weights without a gradient, as FitNet's first half does.
        self.objective = DistributedDataParallel(objective, find_unused_parameters=True)
        self.statistics = [buffer for buffer in objective.buffers() if buffer.is_floating_point()]

    def __call__(self, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        drawn = int(torch.randint(2**62, ()))
        with torch.random.fork_rng([torch.cuda.current_device()] if batch.images.is_cuda else []):
            torch.manual_seed(drawn + self.rank)
            terms: dict[str, Tensor] = self.objective(batch, targets)
        means = self._average([*terms.values()])
        for buffer, mean in zip(self.statistics, self._average(self.statistics), strict=True):
            # Past autograd, which keeps these for a backward pass in evaluation, and would call them changed.
            buffer.data.copy_(mean)
        return {name: term + (mean - term).detach() for (name, term), mean in zip(terms.items(), means, strict=True)}

    @torch.no_grad()
    def _average(self, tensors: list[Tensor]) -> list[Tensor]:
        """The mean of each over the processes."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = torch.split(flat / self.count, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
