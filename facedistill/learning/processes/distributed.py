"""A stage in several processes: how they train one network, and share other work.

Each process holds the whole network, takes its shard of every batch, and averages its gradients with the others
(PyTorch's DistributedDataParallel). A loss that compares samples with each other compares those of the full batch.
A stage that runs in one process does not import this module.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler

from facedistill.entry import REPORT, line
from facedistill.learning.batches import Batch, BatchSampler
from facedistill.learning.columns import Columns
from facedistill.learning.losses.equation5 import Targets
from facedistill.learning.parameters import ProcessParams
from facedistill.learning.processes import Process
from facedistill.learning.processes.class_shards import ClassShard
from facedistill.learning.processes.sync_batch_norm import gathered, synchronise
from facedistill.learning.student import Loss, Objective
from facedistill.params import PARAMS_FILE, ParamsError


def work(main: Callable[[], None]) -> None:
    """Run `main` in a process that `launch` started. An error is written to a file, and the launcher shows it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        main()
    except Exception as error:
        said = line(error) or traceback.format_exc() + REPORT
        # The elastic agent reads `message` and `timestamp`; its own clock counts whole seconds.
        record = {"message": said, "timestamp": int(time.time()), "error": said, "moment": time.time_ns()}
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(record), encoding="utf-8")
        # An orderly exit would end the process group, which waits for the other processes.
        os._exit(1)
    if dist.is_initialized():
        dist.destroy_process_group()


def _end_with(launcher: int) -> None:
    """End this process as soon as its launcher has been killed, because the launcher held the lock of the stage."""
    while os.getppid() == launcher:
        time.sleep(0.5)
    os._exit(1)


class DistributedProcess(Process):
    """One of several processes that work together. The process with local rank 0 is main on its machine."""

    def __init__(self, params: ProcessParams) -> None:
        local, gpu = int(os.environ["LOCAL_RANK"]), torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(local)
        if not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
        self.params, self.is_main = params, local == 0
        self.rank, self.world_size, self._shards = dist.get_rank(), dist.get_world_size(), False

    def shard(self, sampler: BatchSampler) -> Sampler[list[tuple[int, int]]]:
        left = f"{self.world_size} of {self.params.world_size} are left, and "
        return ShardSampler(
            sampler, self.rank, self.world_size, left if self.world_size < self.params.world_size else ""
        )

    def objective(self, objective: Objective) -> Loss:
        if self.params.batch_norm == "sync":
            synchronise(objective)
        return _FullBatchLoss(objective, self.rank, self.world_size, average=self.params.batch_norm == "local")

    def gather(self, rows: Tensor) -> Tensor:
        return _Gather.apply(rows, self.rank, self.world_size)  # type: ignore[no-any-return]

    def cut(self, classifier: nn.Linear | None) -> Columns:
        limit = self.params.shard_classes
        if classifier is None or limit is None or classifier.out_features < max(limit, self.world_size):
            return super().cut(classifier)
        self._shards = True
        return ClassShard(classifier, self.rank, self.world_size, self.gather, self.is_main)

    def agree(self, due: bool) -> bool:
        if not self._shards:
            return due
        asked = torch.tensor(int(due))
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return bool(asked)

    def broadcast(self, data: bytes | None, source: int = 0) -> bytes | None:
        size = torch.tensor(-1 if data is None else len(data))
        dist.broadcast(size, source)
        if size < 0:
            return None
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.rank == source and data:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(content, source)
        return content.numpy().tobytes()

    def collect(self, part: Tensor) -> Tensor:
        sizes = self.gather(torch.tensor([len(part)])).tolist()
        mains = range(0, self.world_size, self.params.devices)
        if not self.is_main:
            for main in mains if len(part) else ():
                dist.send(part, main)
            return part[:0]
        whole = part.new_empty(sum(sizes), *part.shape[1:])
        for source, rows in enumerate(torch.split(whole, sizes)):
            if not len(rows):
                continue
            if source != self.rank:
                dist.recv(rows, source)
                continue
            rows.copy_(part)
            for main in set(mains) - {self.rank}:
                dist.send(part, main)
        return whole

    def barrier(self) -> None:
        dist.all_reduce(torch.zeros(1))


class ShardSampler(Sampler[list[tuple[int, int]]]):
    """Yields the rows of one rank: each batch of `batches` is cut into `world_size` equal shards, in its order.

    For example, if 3 processes share a batch of 12 crops, rank 1 takes the fifth to the eighth crop.

    Raises ParamsError, which says `left` too, if a batch cannot be cut into equal shards of two crops or more.
    """

    def __init__(self, batches: BatchSampler, rank: int, world_size: int, left: str = "") -> None:
        if batches.batch % world_size or batches.batch == world_size:
            raise ParamsError(
                f"{PARAMS_FILE}: processes: {left}a batch of {batches.batch} crops has no {world_size} equal parts of "
                "two or more; change processes.devices, or the task's `batch`"
            )
        self.batches, self.rank, self.world_size = batches, rank, world_size

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for keys in self.batches:
            size = len(keys) // self.world_size
            yield keys[self.rank * size : (self.rank + 1) * size]


class _Gather(torch.autograd.Function):
    """Collects the rows of all ranks, in rank order. A row's gradient is the sum of its gradients in all ranks."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, world_size: int) -> Tensor:
        ctx.rank, ctx.world_size = rank, world_size
        return gathered(rows).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(ctx.world_size)[ctx.rank], None, None


class _FullBatchLoss:
    """The loss of the full batch: each term is averaged over the ranks, as DistributedDataParallel does with gradients.

    Dropout draws different random numbers in each rank. The random state afterwards is the same for any world size.

    average: whether the ranks have running statistics of their own. Then their mean is taken after each step.
    """

    def __init__(self, objective: Objective, rank: int, world_size: int, average: bool) -> None:
        self.rank, self.world_size = rank, world_size
        # The statistics are the same in every rank, by `sync` or by `_average`, so nobody has to send them.
        names = [name for name, _ in objective.named_buffers()]
        if isinstance(shard := objective.network.columns, ClassShard):
            # Each rank has weights of its own here.
            names += [name for name, _ in objective.named_parameters() if name.startswith("network.identity.")]
            shard.average_gradients()
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(objective, names)  # type: ignore[no-untyped-call]
        # A recipe may leave weights without a gradient, as FitNet's first half does, but always the same ones.
        self.objective = DistributedDataParallel(objective, static_graph=True)
        self.statistics = [buffer for buffer in objective.buffers() if buffer.is_floating_point()] if average else []

    def __call__(self, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        drawn = int(torch.randint(2**62, ()))
        with torch.random.fork_rng([torch.cuda.current_device()] if batch.images.is_cuda else []):
            torch.manual_seed(drawn + self.rank)
            terms: dict[str, Tensor] = self.objective(batch, targets)
        means = self._average([*terms.values()])
        averages = self._average(self.statistics) if self.statistics else []
        for buffer, mean in zip(self.statistics, averages, strict=True):
            # We write to `data`: autograd keeps the buffer for the backward pass, and would complain of a change.
            buffer.data.copy_(mean)
        return {name: term + (mean - term).detach() for (name, term), mean in zip(terms.items(), means, strict=True)}

    @torch.no_grad()
    def _average(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the mean of each tensor over the ranks."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        means = torch.split(flat / self.world_size, [tensor.numel() for tensor in tensors])
        return [mean.view_as(tensor) for mean, tensor in zip(means, tensors, strict=True)]
