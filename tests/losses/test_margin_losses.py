"""ArcFace and CosFace against loops over angles, and inherited class centres, which do not move."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facedistill.learning import model_files
from facedistill.learning.losses.arcface import arcface
from facedistill.learning.losses.cosface import cosface
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams
from facedistill.learning.teachers import inherit_classifier

Margin = Callable[[Tensor, Tensor, float, float], Tensor]


def cosines(samples: int = 12, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """cos θ of random pairs, and labels whose angles cover 0 to π."""
    generator = np.random.default_rng(3)
    cosine = generator.uniform(-0.9, 0.9, size=(samples, classes))
    labels = generator.integers(0, classes, size=samples)
    cosine[np.arange(samples), labels] = np.cos(np.linspace(0.1, 3.1, samples))
    return cosine, labels


def naive(cosine: np.ndarray, labels: np.ndarray, scale: float, target: Callable[[float], float]) -> float:
    total = 0.0
    for row, label in zip(cosine, labels, strict=True):
        logits = [scale * (target(math.acos(c)) if j == label else c) for j, c in enumerate(row)]
        top = max(logits)
        total += top + math.log(sum(math.exp(a - top) for a in logits)) - logits[label]
    return total / len(cosine)


def test_arcface_adds_a_margin_to_the_angle() -> None:
    def target(angle: float, m: float = 0.5) -> float:
        return math.cos(angle + m) if angle + m < math.pi else math.cos(angle) - m * math.sin(m)

    cosine, labels = cosines()
    assert any(math.acos(row[label]) + 0.5 > math.pi for row, label in zip(cosine, labels, strict=True))
    expected = naive(cosine, labels, 64, target)
    logits = torch.tensor(64 * cosine)
    assert arcface(logits, torch.tensor(labels), 64, 0.5).mean().item() == pytest.approx(expected)
    assert arcface(logits.float(), torch.tensor(labels), 64, 0.5).mean().item() == pytest.approx(expected, rel=1e-5)


def test_cosface_takes_a_margin_off_the_cosine() -> None:
    cosine, labels = cosines()
    expected = naive(cosine, labels, 64, lambda angle: math.cos(angle) - 0.35)
    assert cosface(torch.tensor(64 * cosine), torch.tensor(labels), 64, 0.35).mean().item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [arcface, cosface])
def test_without_margin_and_scale_it_is_softmax_on_normalised_inputs(loss: Margin) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, centres = (torch.randn(n, 8, generator=generator) for n in (16, 6))
    labels = torch.arange(16) % 6
    logits = F.normalize(hidden) @ F.normalize(centres).T
    assert loss(logits, labels, 1.0, 0.0).mean().item() == pytest.approx(
        F.cross_entropy(logits, labels).item(), rel=1e-6
    )


@pytest.mark.parametrize("loss", [arcface, cosface])
def test_a_margin_makes_it_harder(loss: Margin) -> None:
    cosine, labels = (torch.tensor(part) for part in cosines())
    losses = [loss(16 * cosine, labels, 16.0, m).mean().item() for m in (0.0, 0.2, 0.4)]
    assert losses == sorted(losses)
    assert losses[0] < losses[2] - 1


@pytest.mark.parametrize("m", [0.1, 0.5, 1.5])
def test_arcface_only_falls_as_the_angle_closes(m: float) -> None:
    angles = torch.linspace(0.01, math.pi - 0.01, 400)
    logits = 8 * torch.stack([angles.cos(), torch.zeros(400)], dim=1)
    losses = torch.stack([arcface(row[None], torch.tensor([0]), 8, m)[0] for row in logits])
    assert (losses[1:] > losses[:-1]).all()


@pytest.mark.parametrize("loss", [arcface, cosface])
@pytest.mark.parametrize("cosine", [1.0, -1.0, 1 + 1e-6, -1 - 1e-6])
def test_loss_and_gradient_are_finite_at_the_ends(loss: Margin, cosine: float) -> None:
    logits = torch.tensor([[64 * cosine, 60.0, -64.0]], requires_grad=True)
    found = loss(logits, torch.tensor([0]), 64, 0.5)
    found.backward()  # type: ignore[no-untyped-call]
    assert found.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", [arcface, cosface])
def test_gradients_are_those_of_finite_differences(loss: Margin) -> None:
    cosine, labels = (torch.tensor(part) for part in cosines())
    assert torch.autograd.gradcheck(lambda logits: loss(logits, labels, 4, 0.4), (4 * cosine).requires_grad_())


SMALL = NetworkParams(architecture="resnet50", divisor=32, embedding=16)
WIDER = NetworkParams(architecture="resnet50", divisor=16, embedding=16)


@pytest.mark.parametrize("scale", [0.0, 16.0])
def test_inherited_centres_do_not_move_and_the_rest_does(tmp_path: Path, scale: float) -> None:
    torch.manual_seed(0)
    teacher, student = (FaceNetwork(network, classes=4, scale=scale) for network in (WIDER, SMALL))
    model_files.save(tmp_path, teacher, {})
    inherit_classifier(student, tmp_path)
    first = student.trunk.get_parameter("input_norm.bias")
    before = first.clone()
    optimiser = Nesterov(student.parameters(), momentum=0.9, weight_decay=0.1)
    images, labels = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8), torch.arange(8) % 4
    for _ in range(3):
        optimiser.zero_grad()
        logits = student(images).logits
        (arcface(logits, labels, scale, 0.5).mean() if scale else F.cross_entropy(logits, labels)).backward()  # type: ignore[no-untyped-call]
        optimiser.step(0.1)
    ours, theirs = student.identity.state_dict(), teacher.identity.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not torch.equal(first, before)


@pytest.mark.parametrize(
    ("network", "classes", "scale", "named"),
    [
        (NetworkParams(architecture="resnet50", divisor=32, embedding=8), 4, 16.0, "16 wide.*8 wide"),
        (SMALL, 5, 16.0, "4 people.*5 people"),
        (SMALL, 4, 0.0, "cosines times 16.*dot products"),
        (SMALL, 4, 30.0, "times 16.*times 30"),
        (SMALL, 0, 0.0, "the student none"),
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(
    tmp_path: Path, network: NetworkParams, classes: int, scale: float, named: str
) -> None:
    model_files.save(tmp_path, FaceNetwork(WIDER, classes=4, scale=16.0), {})
    with pytest.raises(model_files.ModelError, match=named):
        inherit_classifier(FaceNetwork(network, classes=classes, scale=scale), tmp_path)


def test_a_teacher_without_a_classifier_is_refused(tmp_path: Path) -> None:
    model_files.save(tmp_path, FaceNetwork(WIDER), {})
    with pytest.raises(model_files.ModelError, match="the teacher has none"):
        inherit_classifier(FaceNetwork(SMALL, classes=4), tmp_path)
