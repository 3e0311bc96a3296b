"""The batch norm for few channels gives the values, gradients and statistics of PyTorch's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from facedistill.learning.networks.batch_norm import FEW, BatchNorm


@pytest.mark.parametrize("channels", [3, 8, FEW])
@pytest.mark.parametrize("training", [True, False])
def test_values_gradients_and_statistics_are_pytorchs(channels: int, training: bool) -> None:
    torch.manual_seed(0)
    ours, plain = BatchNorm(channels).double(), nn.BatchNorm2d(channels).double()
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2)
        ours.bias.normal_()
    plain.load_state_dict(copy.deepcopy(ours.state_dict()))
    x = torch.randn(4, channels, 6, 5, dtype=torch.float64).to(memory_format=torch.channels_last)
    gradient = torch.randn_like(x)
    results = []
    for norm in (ours, plain):
        norm.train(training)
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        found = norm(given)
        gradients = torch.autograd.grad(found, (given, norm.weight, norm.bias), gradient)
        results.append((found, *gradients, norm.running_mean, norm.running_var))
    torch.testing.assert_close(results[0], results[1])
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)
    assert results[0][1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [1, 2])
def test_an_activation_may_overwrite_the_result(side: int) -> None:
    x = torch.randn(4, 8, side, side).to(memory_format=torch.channels_last).requires_grad_()
    ours, plain = BatchNorm(8), nn.BatchNorm2d(8)
    (found,) = torch.autograd.grad(nn.functional.relu(ours(x), inplace=True).square().sum(), x)
    (expected,) = torch.autograd.grad(nn.functional.relu(plain(x)).square().sum(), x)
    torch.testing.assert_close(found, expected)
