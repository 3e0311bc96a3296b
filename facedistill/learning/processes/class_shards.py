"""Class centres sharded over the processes: each has some rows of the classifier, and computes logits of these only.

This is the model parallelism of Partial FC (An et al. 2022, https://arxiv.org/abs/2203.15565). A whole classifier gives
the same losses and gradients, up to rounding.

A gradient here is the gradient of one sum, of the losses of all processes. So the gradient of a value that all
processes know is summed over them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from facedistill.learning.columns import Columns
from facedistill.learning.parameters import Reduction

BLOCK = 2**16
"""How many rows of a classifier are sent at a time to be saved. A block of K 512 wide takes 134 MB."""


class ClassShard(Columns):
    """The columns of one process: classes r·C/W to (r+1)·C/W of C, for the rows of the full batch.

    Making it cuts the classifier `head`: from then on its weights are this process's rows alone. They need an optimiser
    step from this process, and must not be averaged over the processes.

    gather: returns the rows of all processes, in rank order, and takes gradients back.
    keeps: whether `of_all` returns rows in this process. In others it returns none, and saves their memory.
    """

    partial = True

    def __init__(
        self, head: nn.Linear, rank: int, world_size: int, gather: Callable[[Tensor], Tensor], keeps: bool
    ) -> None:
        self.rank, self.world_size, self.gather, self.keeps = rank, world_size, gather, keeps
        self.head, self.classes = head, head.out_features
        self.starts = [self.classes * r // world_size for r in range(world_size + 1)]
        self.first = self.starts[rank]
        for name, weight in list(head.named_parameters()):
            # A copy, because a view would keep the whole classifier in memory.
            setattr(head, name, nn.Parameter(self.own(weight.detach()).clone(), weight.requires_grad))

    def logits(self, head: nn.Linear, hidden: Tensor) -> Tensor:
        # In float32, because the gradients of K are summed over the processes.
        return super().logits(head, self.gather(hidden.float()))

    def softmax(self, logits: Tensor) -> Tensor:
        return self.log_softmax(logits).exp()

    def log_softmax(self, logits: Tensor) -> Tensor:
        total: Tensor = _LogSumExp.apply(logits)
        return logits - total[:, None]

    def cross_entropy(self, logits: Tensor, labels: Tensor, target: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        found: Tensor = _CrossEntropy.apply(logits, self._places(labels), target)
        return torch.where(labels >= 0, self._own_rows(found), 0)

    def over_all(self, values: Tensor, reduction: Reduction = "sum") -> Tensor:
        if reduction == "mean":
            values = values * ((self.starts[self.rank + 1] - self.first) / self.classes)
        found: Tensor = _Sum.apply(values)
        return self._own_rows(found)

    @torch.no_grad()
    def clip(self, weights: list[Tensor], limit: float) -> None:
        ours = {id(weight) for weight in self.head.parameters()}
        shared = [weight.grad for weight in weights if weight.grad is not None and id(weight) not in ours]
        own = [weight.grad for weight in weights if weight.grad is not None and id(weight) in ours]
        squares = torch.nn.utils.get_total_norm(own).square().to(weights[0].device)
        dist.all_reduce(squares)
        norm = (torch.nn.utils.get_total_norm(shared).square() + squares).sqrt()
        torch.nn.utils.clip_grads_with_norm_(weights, limit, norm)

    @torch.no_grad()
    def of_all(self, rows: Tensor) -> Tensor:
        found = torch.empty(self.classes if self.keeps else 0, *rows.shape[1:], dtype=rows.dtype)
        for rank in range(self.world_size):
            for start in range(self.starts[rank], self.starts[rank + 1], BLOCK):
                stop = min(start + BLOCK, self.starts[rank + 1])
                block = rows.new_empty(stop - start, *rows.shape[1:])
                if rank == self.rank:
                    block.copy_(rows[start - self.first : stop - self.first])
                dist.broadcast(block, rank)
                if self.keeps:
                    found[start:stop] = block
        return found

    def own(self, rows: Tensor) -> Tensor:
        return rows[self.first : self.starts[self.rank + 1]]

    def average_gradients(self) -> None:
        """Let each process divide the gradients of its rows by their number, as those of shared weights are averaged.

        Call it once the classifier is on its device.
        """
        for weight in self.head.parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(self._average)  # type: ignore[no-untyped-call]

    def _average(self, weight: Tensor) -> None:
        assert weight.grad is not None
        weight.grad /= self.world_size

    def _places(self, labels: Tensor) -> Tensor:
        return self._columns_of(self.gather(labels) - self.first)

    def _own_rows(self, values: Tensor) -> Tensor:
        """(n,), of this process, from (N,), of the full batch."""
        return values.chunk(self.world_size)[self.rank]


def _log_sum_exp(logits: Tensor) -> Tensor:
    """log Σ exp over the classes of all processes, (N,), without overflow."""
    own = torch.logsumexp(logits, 1)
    most = own.clone()
    dist.all_reduce(most, dist.ReduceOp.MAX)
    total = (own - most).exp()
    dist.all_reduce(total)
    return most + total.log()


class _LogSumExp(torch.autograd.Function):
    """`_log_sum_exp`. The gradient of the logits is softmax(logits) times the gradient of the value."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        found = _log_sum_exp(logits)
        ctx.save_for_backward(logits, found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        logits, found = ctx.saved_tensors
        softmax: Tensor = (logits - found[:, None]).exp_()
        return softmax.mul_(_summed(gradients[0])[:, None])


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


class _CrossEntropy(torch.autograd.Function):
    """−log softmax of the true class, (N,), whose logit a is `target(a)` first. One gradient as large as the logits.

    places: (N,), the column of the true class; below 0, or beyond the last column, if another process has it.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, places: Tensor, target: Callable[[Tensor], Tensor] | None) -> Tensor:
        # Where another process has the class, some column of this one stands in, and is not changed.
        columns = places.clamp(0, logits.shape[1] - 1)[:, None]
        here = columns[:, 0] == places
        with torch.enable_grad():
            before = logits.detach().gather(1, columns).requires_grad_()
            after = before if target is None else target(before)
            (slope,) = torch.autograd.grad(after.sum(), before)
        after = torch.where(here[:, None], after.detach(), before.detach())
        total = _log_sum_exp(logits if target is None else logits.scatter(1, columns, after))
        true = torch.where(here, after[:, 0], 0)
        dist.all_reduce(true)
        ctx.save_for_backward(logits, total, columns, here, after, slope)
        return total - true

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        logits, total, columns, here, after, slope = ctx.saved_tensors
        gradient = _summed(gradients[0])[:, None]
        found = (logits - total[:, None]).exp_().mul_(gradient)
        of_true = ((after - total[:, None]).exp() - 1) * slope * gradient
        found.scatter_(1, columns, torch.where(here[:, None], of_true, found.gather(1, columns)))
        return found, None, None


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
