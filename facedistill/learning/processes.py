"""In how many processes a stage trains, and what a process that trains alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from facedistill.params import params

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Sampler

    from facedistill.learning.batches import BatchSampler
    from facedistill.learning.student import Loss, Objective

LAUNCHED = "FACEDISTILL_LAUNCHED"
"""The environment variable that says, to the processes of a stage, that they are."""


@params
class ProcessParams:
    """devices: processes of a training stage on a machine, a GPU each, or all on the CPU where it has none.

    nodes: machines. endpoint: HOST:PORT of the first of them, where they meet; null for one machine.
    batch_norm: its statistics are those of the whole batch (sync, on GPUs only) or of each process's part (local).
    """

    devices: Annotated[int, Field(ge=1)]
    nodes: Annotated[int, Field(ge=1)]
    endpoint: Annotated[str, Field(pattern=r"^[\w.\-\[\]:]+:\d+$")] | None
    batch_norm: Literal["sync", "local"]

    def __post_init__(self) -> None:
        if (self.nodes > 1) != (self.endpoint is not None):
            raise ValueError(f"nodes: {self.nodes} with endpoint: {self.endpoint}; several nodes, and only these, meet")

    @property
    def count(self) -> int:
        """Processes in all."""
        return self.devices * self.nodes


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
