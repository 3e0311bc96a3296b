"""ResNet-50 on a GPU, against the speed that its copies and matrix products allow at most."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks.speed.faces import HARD, Faces
from benchmarks.speed.measure import Row, rates
from facedistill.learning.networks import FaceNetwork

SQUARE = 8_192
COPY_BYTES = 2**32
PASSES = 3
"""Forward, the gradients of inputs, and the gradients of weights. Each has as many multiply-adds and bytes as the
forward pass."""


def ceilings(faces: Faces) -> Iterator[Row]:
    """Measure a training step without a teacher, in bf16: on a batch that stays on the device, and from shards."""
    flops, bandwidth = _measured(faces.device)
    possible = 1 / _seconds(faces.network(1), faces.setting.side, flops, bandwidth)
    resident, shards = rates(faces.epoch(1, HARD, resident=True), faces.epoch(1, HARD), rounds=3)
    what = f"train ResNet-50, {faces.setting.side} px, batch {faces.setting.batch}, bf16"
    against = f"layer by layer at {flops / 1e12:.0f} TFLOP/s and {bandwidth / 1e12:.2f} TB/s, as measured"
    yield Row(f"{what}, batch on the device", against, "crops/s", resident, possible, resident / possible, None)
    yield Row(f"{what}, from shards", against, "crops/s", shards, possible, shards / possible, None)


def _measured(device: torch.device) -> tuple[float, float]:
    """Return the operations per second of a bf16 matrix product, and the bytes per second of a copy, both ways."""
    a, b = (torch.randn(SQUARE, SQUARE, device=device, dtype=torch.bfloat16) for _ in range(2))
    source, target = (torch.empty(COPY_BYTES, device=device, dtype=torch.uint8) for _ in range(2))

    def products() -> int:
        for _ in range(20):
            a @ b
        return 20

    def copies() -> int:
        for _ in range(20):
            target.copy_(source)
        return 20

    product, copy = rates(products, copies, rounds=3)
    return product * 2 * SQUARE**3, copy * 2 * COPY_BYTES


def _seconds(network: FaceNetwork, side: int, flops: float, bandwidth: float) -> float:
    """Return the least time of one crop in training, without fused layers.

    Each layer takes the time of its arithmetic or of its bf16 memory traffic, whichever is longer.
    """
    total = 0.0

    def add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        operations = 0
        if isinstance(layer, nn.Conv2d):
            operations = 2 * output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            operations = 2 * output.numel() * layer.in_features
        values = inputs[0].numel() + output.numel()
        total += PASSES * max(operations / flops, 2 * values / bandwidth)

    layers = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return total
