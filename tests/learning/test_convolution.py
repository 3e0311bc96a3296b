"""The convolutions of this project give the values and gradients of PyTorch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning.networks import convolution
from facedistill.learning.networks.convolution import Convolution, Depthwise, replace_depthwise
from facedistill.learning.networks.mobilenet import MobileNet
from facedistill.learning.networks.resnet import ResNet50
from facedistill.learning.networks.shufflenet import ShuffleNet

CASES = [(1, 1, 0, 5), (1, 2, 0, 5), (1, 2, 0, 6), (3, 1, 1, 4), (3, 2, 1, 7), (3, 2, 1, 8), (3, 1, 0, 5), (7, 2, 3, 9)]


def images(side: int, channels: int = 4) -> Tensor:
    drawn = torch.randn(3, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return drawn.to(memory_format=torch.channels_last).requires_grad_()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of any size use the product."""
    monkeypatch.setattr(convolution, "POINTWISE", 0)
    monkeypatch.setattr(convolution, "PATCHES", 0)


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), CASES)
def test_values_and_gradients_are_pytorchs(kernel: int, stride: int, padding: int, side: int, always: None) -> None:
    layer, x = Convolution(4, 6, kernel, stride, padding).double(), images(side)
    found = layer(x)
    assert type(found.grad_fn).__name__ == "_ConvolveBackward"
    expected = F.conv2d(x, layer.weight, stride=stride, padding=padding)
    gradient = torch.randn_like(expected)
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(y, (x, layer.weight), gradient) for y in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_the_weight_gradient_is_a_sum_over_positions(always: None) -> None:
    layer, x = Convolution(2, 3, 3, 2, 1).double(), images(5, 2)
    y = layer(x)
    gradient = torch.randn_like(y)
    (found,) = torch.autograd.grad(y, layer.weight, gradient)
    expected = torch.zeros_like(layer.weight)
    for n in range(3):
        for row in range(y.shape[2]):
            for column in range(y.shape[3]):
                for i in range(3):
                    for j in range(3):
                        h, w = 2 * row + i - 1, 2 * column + j - 1
                        if 0 <= h < 5 and 0 <= w < 5:
                            expected[:, :, i, j] += torch.outer(gradient[n, :, row, column], x[n, :, h, w]).detach()
    torch.testing.assert_close(found, expected)


def test_it_follows_autocast_and_the_first_layer_needs_no_gradient_of_its_images(always: None) -> None:
    torch.manual_seed(0)
    layer, x = Convolution(4, 6, 3, padding=1), images(6).detach().float()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        expected = F.conv2d(x, layer.weight, padding=1)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)
    ours, theirs = (torch.autograd.grad(y.float().square().sum(), layer.weight)[0] for y in (found, expected))
    assert ours.dtype == torch.float32
    # Every product is rounded to bf16's 8 bits, so a weight whose sum is near 0 may lose much of it.
    assert (ours - theirs).norm() < 0.01 * theirs.norm()


def test_only_wide_layers_on_small_maps_use_it_and_only_in_training() -> None:
    def used(layer: Convolution, side: int) -> bool:
        x = torch.randn(2, layer.in_channels, side, side, requires_grad=True)
        return type(layer(x).grad_fn).__name__ == "_ConvolveBackward"

    assert used(Convolution(128, 128, 1), 8)
    assert not used(Convolution(16, 16, 1), 8)
    assert used(Convolution(64, 64, 3, padding=1), 3)
    assert not used(Convolution(64, 64, 3, padding=1), 32)
    with torch.no_grad():
        assert Convolution(128, 128, 1)(torch.randn(2, 128, 2, 2)).grad_fn is None


def test_a_whole_network_has_the_gradients_of_one_of_pytorchs_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    trunk, x = ResNet50(divisor=8).double(), 255 * torch.rand(4, 3, 32, 32, dtype=torch.float64)
    trunk(x).hidden.square().sum().backward()
    ours = [weight.grad for weight in trunk.parameters()]
    monkeypatch.setattr(Convolution, "forward", torch.nn.Conv2d.forward)
    trunk.zero_grad()
    trunk(x).hidden.square().sum().backward()
    torch.testing.assert_close(ours, [weight.grad for weight in trunk.parameters()])


def test_a_depthwise_convolution_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    replace_depthwise(ours)
    x = images(6).detach().float()
    with torch.autocast("cpu", torch.bfloat16):
        found, narrow = ours(x.bfloat16()), theirs(x)
    assert narrow.dtype == torch.bfloat16
    assert torch.equal(found, theirs(x.bfloat16().float()))


@pytest.mark.parametrize(("trunk", "depthwise"), [(ShuffleNet, 19), (MobileNet, 17)])
def test_only_layers_of_one_channel_each_become_depthwise(trunk: type[ShuffleNet | MobileNet], depthwise: int) -> None:
    kinds = [type(layer) for layer in trunk().modules() if isinstance(layer, torch.nn.Conv2d)]
    assert kinds.count(Depthwise) == depthwise
    assert set(kinds) == {Depthwise, torch.nn.Conv2d}
