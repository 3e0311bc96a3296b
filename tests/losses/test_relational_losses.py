"""Ψ over a batch: RKD and CCKD against naive loops in float64, and the changes that they ignore."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from facedistill.learning.losses.cckd import cckd
from facedistill.learning.losses.rkd import rkd
from facedistill.learning.networks import Outputs


def layer(width: int, samples: int = 6) -> Tensor:
    return torch.randn(samples, width, dtype=torch.float64, generator=torch.Generator().manual_seed(width))


def of(hidden: Tensor) -> Outputs:
    return Outputs(hidden, (), None, None)


def squares(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def unit(row: np.ndarray) -> np.ndarray:
    return row / math.sqrt(sum(x * x for x in row))


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def naive_rkd(student: np.ndarray, teacher: np.ndarray) -> float:
    n = range(len(student))
    distances, angles = [], []
    for k in (student, teacher):
        between = {(i, j): math.dist(k[i], k[j]) for i, j in permutations(n, 2)}
        mean = sum(between.values()) / len(between)
        distances.append([d / mean for d in between.values()])
        angles.append([unit(k[i] - k[j]) @ unit(k[m] - k[j]) for i, j, m in permutations(n, 3)])
    distance, angle = (np.mean([huber(s - t) for s, t in zip(*pair, strict=True)]) for pair in (distances, angles))
    return float(distance + 2 * angle)


def test_rkd_is_the_huber_loss_of_distances_and_angles() -> None:
    student, teacher = layer(3), layer(5)
    # One student far off: differences on both sides of Huber's corner.
    student[0] *= 30
    found = rkd(of(student), of(teacher)).item()
    assert found == pytest.approx(naive_rkd(student.numpy(), teacher.numpy()))
    single = rkd(of(student.float()), of(teacher.float())).item()
    assert single == pytest.approx(found, rel=1e-5)


def test_rkd_sees_no_rotation_scale_or_shift() -> None:
    student, teacher = layer(5), layer(8)
    rotation = torch.linalg.qr(layer(5, 5)).Q
    moved = 0.01 * student @ rotation + 3
    assert rkd(of(moved), of(teacher)).item() == pytest.approx(rkd(of(student), of(teacher)).item())
    assert rkd(of(moved), of(student)).item() == pytest.approx(0, abs=1e-12)
    assert rkd(of(student), of(teacher)) > 0.01


def test_rkd_has_a_finite_gradient_where_samples_are_equal() -> None:
    hidden = layer(4).float()
    hidden[1] = hidden[0]
    for leaf in (hidden.requires_grad_(), torch.ones(4, 3, requires_grad=True)):
        rkd(of(leaf), of(layer(5, len(leaf)).float())).backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()


def test_rkd_refuses_a_batch_without_angles() -> None:
    with pytest.raises(ValueError, match="batch of 2 has no angles"):
        rkd(of(layer(3, 2)), of(layer(5, 2)))


def test_cckd_compares_gaussian_kernels_of_directions() -> None:
    student, teacher = layer(3), layer(5)
    expected = 0.0
    for i in range(6):
        for j in range(6):
            kernels = [math.exp(-0.4 * squares(unit(k[i]), unit(k[j]))) for k in (student.numpy(), teacher.numpy())]
            expected += (kernels[0] - kernels[1]) ** 2 / 36
    assert cckd(of(student), of(teacher)).item() == pytest.approx(expected)
    lengths = torch.linspace(0.1, 9, 6)[:, None]
    assert cckd(of(student * lengths), of(student)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("psi", [rkd, cckd])
def test_gradients_are_those_of_finite_differences(psi: Callable[[Outputs, Outputs], Tensor]) -> None:
    assert torch.autograd.gradcheck(lambda hidden: psi(of(hidden), of(layer(7))), layer(5).requires_grad_())
