"""The process of a stage, alone or in a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facedistill.learning.columns import ALL, Columns
from facedistill.learning.parameters import ProcessParams

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.data import Sampler

    from facedistill.learning.batches import BatchSampler
    from facedistill.learning.student import Loss, Objective


class Process:
    """A process that works alone: rank 0 of a world of size 1.

    is_main: whether this is the first process of its machine, which writes files and shows the progress bar.
    """

    is_main = True
    rank, world_size = 0, 1

    def shard(self, sampler: BatchSampler) -> Sampler[list[tuple[int, int]]]:
        """Return a sampler of the rows that this process takes from each batch."""
        return sampler

    def objective(self, objective: Objective) -> Loss:
        """Return a loss whose value and gradient are those of the full batch, made of the `objective` of each shard."""
        return objective

    def gather(self, rows: Tensor) -> Tensor:
        """Return the (N, …) rows of the full batch, in its order, from the rows of all processes.

        Gradients flow back to the process that each row came from.
        """
        return rows

    def cut(self, classifier: nn.Linear | None) -> Columns:
        """Cut a classifier of `processes.shard_classes` people or more, in place, into a shard for each process.

        Returns the columns that its logits have from then on.
        """
        del classifier
        return ALL

    def agree(self, due: bool) -> bool:
        """Whether the main process of any machine has to save now, if all have to take part because they hold shards.

        Without shards, only whether this process has to.
        """
        return due

    def broadcast(self, data: bytes | None, source: int = 0) -> bytes | None:
        """Return the `data` of the process with rank `source`, in every process."""
        return data

    def part(self, rows: int, batch: int) -> range:
        """Return the rows of 0 … rows − 1 for this process: whole batches, cut as a single process cuts them."""
        batches = -(-rows // batch)
        first, last = (batches * rank // self.world_size * batch for rank in (self.rank, self.rank + 1))
        return range(min(first, rows), min(last, rows))

    def collect(self, part: Tensor) -> Tensor:
        """Return the (N, …) rows of all processes in rank order, from the rows of each; no rows if this is not main."""
        return part

    def barrier(self) -> None:
        """Wait until every process has come here."""


def join(params: ProcessParams) -> Process:
    """Return this process as a member of the group that works together."""
    if params.world_size == 1:
        return Process()
    from facedistill.learning.processes.distributed import DistributedProcess

    return DistributedProcess(params)
