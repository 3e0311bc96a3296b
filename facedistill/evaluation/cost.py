"""What a network costs to keep and to run."""

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
    """parameters: number of weights. megabytes: 10⁶ bytes of all that is stored, buffers too.

    multiply_adds: millions, of one photograph. milliseconds: of one photograph on one thread of this machine's CPU.
    """

    parameters: int
    megabytes: float
    multiply_adds: float
    milliseconds: float


def cost(network: nn.Module, side: int) -> Cost:
    """The cost of `network`, which is left as it is, on one (1, 3, side, side) photograph in evaluation mode."""
    copy = deepcopy(network).cpu().eval()
    return Cost(
        parameters=sum(weight.numel() for weight in copy.parameters()),
        megabytes=sum(tensor.nbytes for tensor in copy.state_dict().values()) / 1e6,
        multiply_adds=multiply_adds(copy, side),
        milliseconds=latency(copy, side),
    )


@torch.no_grad()
def multiply_adds(network: nn.Module, side: int) -> float:
    """Millions of multiply-adds of one photograph in convolutions and matrix products; norms and activations are free.

    network: in evaluation mode, on the CPU.
    """
    with FlopCounterMode(display=False) as counter:
        network(_photograph(side))
    # The counter's unit is the floating-point operation: two to a multiply-add.
    return float(counter.get_total_flops()) / 2e6


@torch.inference_mode()
def latency(network: nn.Module, side: int, runs: int = RUNS) -> float:
    """Milliseconds that one photograph takes on one thread, the median of `runs` after WARM_UP untimed ones.

    network: in evaluation mode, on the CPU. The number of threads is put back after.
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
    """Noise from 0 to 255: zeros would leave whole layers at zero."""
    return 255 * torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
