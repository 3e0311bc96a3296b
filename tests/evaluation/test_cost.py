"""The costs of networks, against sums by hand and published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facedistill.evaluation import cost as module
from facedistill.evaluation.cost import cost, latency, multiply_adds


def small() -> nn.Sequential:
    """On 12 x 12: a convolution with a stride, a depthwise one, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


def test_sums_by_hand() -> None:
    result = cost(small(), 12)
    assert result.parameters == 3 * 8 * 9 + 16 + 8 * 9 + 8 + 8 * 5 + 5
    assert result.multiply_adds == pytest.approx((36 * 8 * 3 * 9 + 36 * 8 * 9 + 8 * 5) / 1e6)
    # Beside the weights a batch norm keeps a mean and a variance a channel, and an int64 counter.
    assert result.megabytes == pytest.approx((4 * (result.parameters + 16) + 8) / 1e6)


@pytest.mark.parametrize(("architecture", "millions"), [("resnet50", 4089), ("mobilenet_v2", 301), ("resnet18", 1814)])
def test_multiply_adds_at_224_are_torchvisions(architecture: str, millions: float) -> None:
    """The `_ops` of torchvision's own weight tables, in millions of multiply-adds."""
    from torchvision.models import get_model

    network = get_model(architecture, weights=None).eval()
    assert multiply_adds(network, 224) == pytest.approx(millions, rel=0.005)


def test_size_is_that_of_the_file(tmp_path: Path) -> None:
    network = small()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    assert cost(network, 12).megabytes * 1e6 == pytest.approx((tmp_path / "model.safetensors").stat().st_size, abs=2000)


def test_the_network_and_the_number_of_threads_are_left_as_they_were() -> None:
    network = small().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    threads = torch.get_num_threads()
    cost(network, 12)
    assert all(part.training for part in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.get_num_threads() == threads
    with pytest.raises(RuntimeError):
        latency(nn.Linear(5, 5), 12)
    assert torch.get_num_threads() == threads


def test_latency_is_the_median_of_the_warm_runs_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that counts calls: the slow first runs and one straggler must not move the number."""
    seconds = iter([9.0] * module.WARM_UP + [0.001, 0.002, 0.003, 0.004, 7.0])
    now, threads = [0.0, 0], []

    def clock() -> float:
        now[1] += 1
        now[0] += next(seconds) if now[1] % 2 == 0 else 0
        return now[0]

    class Watch(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            threads.append(torch.get_num_threads())
            return image

    monkeypatch.setattr(module, "perf_counter", clock)
    assert latency(Watch(), 8, runs=5) == pytest.approx(3)
    assert set(threads) == {1}
    assert len(threads) == module.WARM_UP + 5


def test_a_larger_network_takes_longer() -> None:
    thin, wide = (nn.Sequential(nn.Conv2d(3, w, 3), nn.Conv2d(w, w, 3)).eval() for w in (2, 64))
    assert 0 < latency(thin, 32) < latency(wide, 32)
