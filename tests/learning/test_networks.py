"""ResNet-50/k: the paper's parameter counts, torchvision as the reference, and the heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.learning.networks.resnet import ResNet50
from facedistill.learning.parameters import NetworkParams


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("divisor", "parameters"), [(1, 23_508_038), (2, 5_892_646), (4, 1_480_982), (8, 374_158)])
def test_parameter_counts_are_the_papers(divisor: int, parameters: int) -> None:
    trunk = ResNet50(divisor)
    assert count(trunk) == parameters
    assert trunk.width == 2048 // divisor
    network = FaceNetwork(NetworkParams(architecture="resnet50", divisor=divisor), classes=10_575)
    assert count(network) == parameters + trunk.width * 10_575 + 10_575


def test_the_trunk_is_torchvisions_resnet50_behind_a_batch_norm() -> None:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    reference = resnet50(weights=None).eval()
    trunk = ResNet50().eval()
    state = {name: tensor for name, tensor in reference.state_dict().items() if not name.startswith("fc.")}
    missing, unexpected = trunk.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith("input_norm.") for name in missing)
    reference.fc = nn.Identity()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        # An untrained batch norm divides by sqrt(1 + eps).
        expected = reference(images / (1 + 1e-5) ** 0.5)
        assert torch.allclose(trunk(images).hidden, expected, rtol=1e-4, atol=1e-5)


def test_a_folded_trunk_is_the_same_function() -> None:
    torch.manual_seed(0)
    trunk = ResNet50(8)
    images = torch.rand(8, 3, 64, 64) * 255
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    trunk(images)  # moves every running mean and variance away from 0 and 1
    trunk.eval()
    with torch.no_grad():
        expected = trunk(images)
        fold_batch_norm(trunk)
        folded = trunk(images)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in trunk.modules()) == 1
    assert torch.allclose(folded.hidden, expected.hidden, rtol=1e-3, atol=1e-4 * float(expected.hidden.abs().max()))
    for a, b in zip(folded.maps, expected.maps, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def test_the_maps_are_the_four_stages() -> None:
    trunk = ResNet50(8)
    maps = trunk(torch.rand(2, 3, 64, 64) * 255).maps
    assert [tuple(m.shape[1:]) for m in maps] == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]
    assert trunk.map_widths == (32, 64, 128, 256)


def test_heads_are_there_when_asked_for() -> None:
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    params = NetworkParams(architecture="resnet50", divisor=16)
    bare = FaceNetwork(params)(images)
    assert bare.logits is None
    assert bare.landmarks is None
    full = FaceNetwork(params, classes=7, landmarks=True)(images)
    assert full.hidden.shape == (2, 128)
    assert full.logits is not None
    assert full.logits.shape == (2, 7)
    assert full.landmarks is not None
    assert full.landmarks.shape == (2, 5, 2)


def test_a_divisor_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="divisor: 3 does not divide the 64 kernels"):
        NetworkParams("resnet50", 3)
