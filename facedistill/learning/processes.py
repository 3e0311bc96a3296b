"""In how many processes a stage trains, and what a process that trains alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facedistill.learning.parameters import ProcessParams

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Sampler

    from facedistill.learning.batches import BatchSampler
    from facedistill.learning.student import Loss, Objective

LAUNCHED = "FACEDISTILL_LAUNCHED"
"""The environment variable that says, to the processes of a stage, that they are."""


class Process:
    """A process that trains alone: its part of a batch is the whole. writes: whether it writes files, and a bar."""

    writes = True

    def part(self, sampler: BatchSampler) -> Sampler[list[tuple[int, int]]]:
        """The sampler of its rows of each batch."""
        return sampler

    def objective(self, objective: Objective) -> Loss:
        """The loss whose gradient is that of the whole batch, and whose values are."""
        return objective

    def gather(self, rows: Tensor) -> Tensor:
        """The (N, …) rows of the whole batch, in its order, from those of this process; gradients pass."""
        return rows

    def agree(self, data: bytes | None) -> bytes | None:
        """What the first process has."""
        return data

    def wait(self) -> None:
        """Until all are here."""


def join(params: ProcessParams) -> Process:
    """This process, among those that train with it."""
    if params.count == 1:
        return Process()
    from facedistill.learning.distributed import Member

    return Member(params)
