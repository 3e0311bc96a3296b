"""Convolutions that are fast on the CPU.

oneDNN computes the weight gradient of a wide layer on a small map 3 to 14 times slower than the same layer forwards. A
product of the output's gradient with the patches of the input gives the same sum.

oneDNN convolves each channel alone two to three times slower in bf16 than in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTWISE, PATCHES = 8192, 100
"""From so many weights on a product is faster for 1x1 kernels; for larger ones from so many weights for each position
on, because the patches have to be copied. Measured with oneDNN, in bf16 and float32."""


class Convolution(nn.Conv2d):
    """`nn.Conv2d` without bias, groups and dilation, with square kernels. Values and gradients are the same."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(channels_in, channels_out, kernel, stride=stride, padding=padding, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not (x.device.type == "cpu" and torch.is_grad_enabled() and self._as_product(x)):
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            narrow = torch.get_autocast_dtype("cpu")
            x, weight = x.to(narrow), weight.to(narrow)
        found: Tensor = _Convolve.apply(x, weight, self.stride[0], int(self.padding[0]))
        return found

    def _as_product(self, x: Tensor) -> bool:
        if self.kernel_size == (1, 1):
            return self.weight.numel() >= POINTWISE
        positions = x.shape[0] * x.shape[2] * x.shape[3] // self.stride[0] ** 2
        return self.weight.numel() >= PATCHES * positions


class Depthwise(nn.Conv2d):
    """`nn.Conv2d` with a group for each channel. On the CPU it stays in float32 under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


def replace_depthwise(layers: nn.Module) -> None:
    """Make the depthwise convolutions of these layers, which come from torchvision, those of this module."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            layer.__class__ = Depthwise


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, stride=stride, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (x, weight), (gradient,), stride, padding = ctx.saved_tensors, gradients, ctx.stride, ctx.padding
        of_x = None
        if ctx.needs_input_grad[0]:
            sizes = (None, [stride, stride], [padding, padding], [1, 1], False, [0, 0], 1, (True, False, False))
            of_x = torch.ops.aten.convolution_backward(gradient, x, weight, *sizes)[0]
        return of_x, _of_weight(x, weight, gradient, stride, padding), None, None


def _of_weight(x: Tensor, weight: Tensor, gradient: Tensor, stride: int, padding: int) -> Tensor:
    """The gradient of the weight, (C', C, k, k): the output's gradient, (C', positions), times patches of the input.

    x: (N, C, H, W).
    gradient: (N, C', h, w).
    """
    channels_out, channels_in, k, _ = weight.shape
    height, width = gradient.shape[2:]
    pixels = x.permute(0, 2, 3, 1)
    if padding:
        pixels = F.pad(pixels, (0, 0, padding, padding, padding, padding))
    patches = [
        pixels[:, i : i + stride * (height - 1) + 1 : stride, j : j + stride * (width - 1) + 1 : stride]
        for i in range(k)
        for j in range(k)
    ]
    columns = torch.cat(patches, dim=3) if k > 1 else patches[0]
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, channels_out)
    product = rows.t() @ columns.reshape(len(rows), -1)
    return product.view(channels_out, k, k, channels_in).permute(0, 3, 1, 2)
