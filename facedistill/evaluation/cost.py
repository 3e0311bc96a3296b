"""What a network costs: memory, arithmetic and time."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WARM_UP, RUNS = 3, 15


@dataclass(frozen=True)
class Cost:
    """The cost of one network.

    parameters: the number of weights.
    megabytes: the size of all weights and buffers, in 10⁶ bytes.
    multiply_adds: for one photograph, in millions.
    milliseconds: for one photograph, on one thread of this machine's CPU.
    """

    parameters: int
    megabytes: float
    multiply_adds: float
    milliseconds: float


def cost(network: nn.Module, side: int) -> Cost:
    """Measure a copy of `network` in evaluation mode, on one (1, 3, side, side) photograph."""
    copy = deepcopy(network).cpu().eval()
    return Cost(
        parameters=sum(weight.numel() for weight in copy.parameters()),
        megabytes=sum(tensor.nbytes for tensor in copy.state_dict().values()) / 1e6,
        multiply_adds=multiply_adds(copy, side),
        milliseconds=latency(copy, side),
    )


@torch.no_grad()
def multiply_adds(network: nn.Module, side: int) -> float:
    """Return the multiply-adds of convolutions and matrix products for one photograph, in millions.

    Norms and activations are not counted.

    network: in evaluation mode, on the CPU.
    """
    with FlopCounterMode(display=False) as counter:
        network(_photograph(side))
    # The counter counts floating-point operations; a multiply-add is two of them.
    return float(counter.get_total_flops()) / 2e6


@torch.inference_mode()
def latency(network: nn.Module, side: int, runs: int = RUNS) -> float:
    """Return the milliseconds for one photograph on one thread: the median of `runs` runs, after WARM_UP untimed runs.

    Afterwards it restores the number of threads.

    network: in evaluation mode, on the CPU.
    """
    image = _photograph(side)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(WARM_UP + runs):
            start = perf_counter()
            network(image)
            times.append(perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(times[WARM_UP:])


def _photograph(side: int) -> torch.Tensor:
    """Return noise from 0 to 255, because zeros would leave whole layers at zero."""
    return 255 * torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
