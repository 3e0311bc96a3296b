"""The training step with this project's convolutions and batch norm, against the step with PyTorch's, in one process.

python -m benchmarks.operators        # about a minute; prints a table
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from time import perf_counter

import torch
from torch import nn

from facedistill.learning.device import autocast, place
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.batch_norm import BatchNorm
from facedistill.learning.networks.convolution import Convolution, Depthwise
from facedistill.learning.parameters import NetworkParams

OURS = (Convolution.forward, Depthwise.forward, BatchNorm.forward)
PYTORCHS = (nn.Conv2d.forward, nn.Conv2d.forward, nn.BatchNorm2d.forward)
STEPS = 12
RESNETS = ((8, 48, 128), (4, 48, 128), (2, 48, 128), (1, 48, 128), (8, 32, 32), (1, 32, 32))
SIZES = [("resnet50", *size) for size in RESNETS] + [(name, 1, 64, 128) for name in ("shufflenet", "mobilenet")]
"""Architecture and divisor, side of the input, and crops in a step."""


def main() -> None:
    print("| network | input (px) | crops | PyTorch's (ms) | ours (ms) | times as fast |")
    print("|---|---:|---:|---:|---:|---:|")
    for architecture, divisor, side, crops in SIZES:
        theirs, ours = times(architecture, divisor, side, crops)
        name = architecture + (f"/{divisor}" if divisor > 1 else "")
        print(f"| {name} | {side} | {crops} | {1000 * theirs:.0f} | {1000 * ours:.0f} | {theirs / ours:.2f} |")


def times(architecture: str, divisor: int, side: int, crops: int) -> list[float]:
    """The median seconds of a step, forward and backward, with PyTorch's operators and with ours, taken in turns."""
    device = torch.device("cpu")
    network = place(FaceNetwork(NetworkParams(architecture, divisor, 128)), device).train()
    images = torch.randint(0, 256, (crops, 3, side, side), dtype=torch.uint8).to(memory_format=torch.channels_last)
    found = defaultdict(list)
    for step in range(STEPS + 2):
        for which in (PYTORCHS, OURS):
            Convolution.forward, Depthwise.forward, BatchNorm.forward = which  # type: ignore[assignment, method-assign]
            start = perf_counter()
            with autocast(device, "auto"):
                hidden = network(images).hidden
            hidden.square().mean().backward()
            network.zero_grad()
            if step >= 2:
                found[which].append(perf_counter() - start)
    return [median(found[which]) for which in (PYTORCHS, OURS)]


if __name__ == "__main__":
    main()
