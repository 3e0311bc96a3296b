"""Batch norm over the batches of all processes, for equal parts.

PyTorch's own synchronised batch norm allows unequal parts. So it waits in every layer until the host has counted them,
and it is for GPUs only.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


def synchronise(module: nn.Module) -> None:
    """Let every batch norm in `module` take the statistics of the whole batch when it trains.

    Classes, weights and names stay as they are. So do the dropout and the activation that batch norms of timm contain.
    Each process has to call the module with as many samples as the others.
    """
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.alone = norm.forward  # type: ignore[assignment]
            norm.forward = MethodType(_synchronised, norm)  # type: ignore[method-assign]


def _synchronised(norm: Any, x: Tensor) -> Tensor:
    if not norm.training:
        found: Tensor = norm.alone(x)
        return found
    weight, bias = norm.weight, norm.bias
    if not norm.affine:
        weight, bias = torch.ones_like(norm.running_mean), torch.zeros_like(norm.running_mean)
    x, mean, var = _Normalise.apply(x, weight, bias, norm.eps)
    with torch.no_grad():
        samples = x.numel() // x.shape[1] * dist.get_world_size()
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(var * (samples / (samples - 1)), norm.momentum)
    for part in ("drop", "act"):
        x = getattr(norm, part, nn.Identity())(x)
    return x


class _Normalise(torch.autograd.Function):
    """(x − mean) / √(var + ε) · weight + bias, with the mean and the variance of the whole batch, which it returns too.

    The gradients of weight and bias are those of this part of the batch, as of every other weight.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        own_var, own_mean = torch.var_mean(x.to(weight.dtype), _but_channels(x), correction=0)
        parts = gathered(torch.stack([own_mean, own_var]))
        mean = parts[:, 0].mean(0)
        # All parts are equal: the variance within them, and the variance of their means.
        var = parts[:, 1].mean(0) + (parts[:, 0] - mean).square().mean(0)
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.mark_non_differentiable(mean, var)
        return F.batch_norm(x, mean, var, weight, bias, eps=eps), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        gradient, others = gradients[0].to(weight.dtype), _but_channels(x)
        channels = (-1, *[1] * (x.ndim - 2))
        centred = (x.to(weight.dtype) - mean.view(channels)) * inverse.view(channels)
        of_weight, of_bias = (gradient * centred).sum(others), gradient.sum(others)
        sums = torch.stack([of_weight, of_bias])
        dist.all_reduce(sums)
        along, level = sums / (x.numel() // x.shape[1] * dist.get_world_size())
        of_x = gradient - level.view(channels) - centred * along.view(channels)
        return (of_x * (inverse * weight).view(channels)).to(x.dtype), of_weight, of_bias, None


def _but_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def gathered(own: Tensor) -> Tensor:
    """(processes, …): the tensors of all processes, in rank order, without gradients."""
    found = own.new_empty(dist.get_world_size(), *own.shape)
    dist.all_gather(list(found), own.contiguous())
    return found
