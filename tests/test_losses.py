"""Every loss against a naive loop in float64, and Equation 5 against its terms added by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from facedistill.learning.losses.equation5 import Equation5, EquationParams, Recipe, Targets
from facedistill.learning.losses.hidden import Hidden
from facedistill.learning.losses.hint import Hint
from facedistill.learning.losses.logits import Logits
from facedistill.learning.losses.soft import soft_cross_entropy
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.losses.triplet import triplet_loss
from facedistill.learning.networks import FaceNetwork, NetworkParams, Outputs

EQUATION = EquationParams(temperature=3, temperature_squared=False, margin=0.4, landmark_unit=0.1, reduction="sum")


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def test_soft_cross_entropy_is_the_sum_of_equation_1() -> None:
    student, teacher = rng().normal(size=(2, 5, 7)) * 4
    expected = 0.0
    for a_s, a_t in zip(student, teacher, strict=True):
        p_t, p_s = softmax(a_t / 3), softmax(a_s / 3)
        expected += -sum(p * math.log(q) for p, q in zip(p_t, p_s, strict=True)) / len(student)
    found = soft_cross_entropy(torch.tensor(student), torch.tensor(teacher), temperature=3)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_soft_cross_entropy_is_least_where_the_student_is_the_teacher() -> None:
    teacher = torch.tensor(rng().normal(size=(4, 6)))
    student = teacher.clone().requires_grad_()
    loss = soft_cross_entropy(student, teacher, temperature=3)
    loss.backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-7
    assert soft_cross_entropy(student + torch.eye(4, 6), teacher, 3) > loss


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 6)])
def test_squared_distance_sums_or_averages_dimensions_and_averages_the_batch(reduction: str, divisor: int) -> None:
    a, b = rng().normal(size=(2, 4, 3, 2))
    expected = sum((a[i, j, k] - b[i, j, k]) ** 2 for i in range(4) for j in range(3) for k in range(2)) / 4 / divisor
    found = squared_distance(torch.tensor(a), torch.tensor(b), reduction)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected, rel=1e-6)


def naive_triplet(hidden: np.ndarray, labels: np.ndarray, margin: float) -> float:
    unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    losses = []
    for a in range(len(unit)):
        for p in range(len(unit)):
            if p == a or labels[p] != labels[a]:
                continue
            d_p = ((unit[a] - unit[p]) ** 2).sum()
            negatives = [((unit[a] - unit[n]) ** 2).sum() for n in range(len(unit)) if labels[n] != labels[a]]
            semi_hard = [d for d in negatives if d_p < d < d_p + margin]
            losses.append(max(0.0, d_p - min(semi_hard or negatives) + margin))
    return float(np.mean(losses))


@pytest.mark.parametrize("seed", range(8))
def test_triplet_loss_mines_as_a_loop_over_all_triplets_does(seed: int) -> None:
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(16, 5)) + 2 * np.repeat(generator.normal(size=(4, 5)), 4, axis=0)
    labels = np.repeat([3, 1, 8, 2], 4)
    found = triplet_loss(torch.tensor(hidden), torch.tensor(labels), margin=0.4)
    assert found.item() == pytest.approx(naive_triplet(hidden, labels, 0.4), rel=1e-5, abs=1e-6)


def test_triplet_loss_by_hand() -> None:
    # On the unit circle: anchor 0°, positive 60° (d² = 1), negative 90° (d² = 2 from the one, 2 − √3 from the other).
    angles = np.deg2rad([0.0, 60.0, 90.0])
    hidden = torch.tensor(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    from_anchor, from_positive = max(0, 1 - 2 + 0.4), 1 - (2 - math.sqrt(3)) + 0.4
    found = triplet_loss(hidden, torch.tensor([0, 0, 1]), margin=0.4)
    assert found.item() == pytest.approx((from_anchor + from_positive) / 2, rel=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2], [4, 4, 4]])
def test_triplet_loss_refuses_a_batch_without_triplets(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="triplet batch"):
        triplet_loss(torch.randn(3, 4), torch.tensor(labels), margin=0.4)


def outputs(width: int, classes: int = 6, middle: int = 4) -> Outputs:
    return Outputs(torch.randn(8, width), torch.randn(8, middle, 3, 3), torch.randn(8, classes), torch.rand(8, 5, 2))


def test_hidden_compares_the_projected_student_with_the_teacher() -> None:
    term, student, teacher = Hidden(3, 5, "sum"), outputs(3), outputs(5)
    weight, bias = (p.detach().double().numpy() for p in term.projector.parameters())
    k_s, k_t = student.hidden.double().numpy(), teacher.hidden.double().numpy()
    expected = np.mean([((weight @ s + bias - t) ** 2).sum() for s, t in zip(k_s, k_t, strict=True)])
    assert term(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_hint_widens_the_middle_map_pixel_by_pixel() -> None:
    term, student, teacher = Hint(4, 6), outputs(3, middle=4), outputs(5, middle=6)
    weight, bias = (p.detach().numpy() for p in term.regressor.parameters())
    widened = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], student.middle.numpy()) + bias[:, None, None]
    assert term(student, teacher).item() == pytest.approx(((widened - teacher.middle.numpy()) ** 2).mean(), rel=1e-5)


def test_logits_is_the_squared_distance_of_raw_logits() -> None:
    student, teacher = outputs(3), outputs(5)
    expected = ((student.logits - teacher.logits) ** 2).sum(1).mean()  # type: ignore[operator]
    assert torch.isclose(Logits("sum")(student, teacher), expected)


def equation(recipe: Recipe, **changes: object) -> Equation5:
    student = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32), classes=6, landmarks=True)
    teacher = FaceNetwork(NetworkParams(architecture="resnet50", divisor=16), classes=6, landmarks=True)
    return Equation5(recipe, replace(EQUATION, **changes), student, teacher)  # type: ignore[arg-type]


def test_equation_5_is_the_weighted_sum_of_its_terms() -> None:
    labels, points = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), torch.rand(8, 5, 2)
    student, teacher = outputs(64), outputs(128)
    loss = equation(Recipe(phi="triplet_softmax", alpha=0.7, beta=0.2))
    terms = loss(student, labels, points, Targets(soft=teacher, hidden=teacher))
    assert list(terms) == ["triplet", "softmax", "soft", "hidden", "loss"]
    expected = terms["triplet"] + terms["softmax"] + 0.7 * terms["soft"] + 0.2 * terms["hidden"]
    assert torch.isclose(terms["loss"], expected)
    assert torch.isclose(terms["soft"], soft_cross_entropy(student.logits, teacher.logits, 3))  # type: ignore[arg-type]


def test_temperature_squared_scales_the_soft_term_alone() -> None:
    args = (outputs(64), torch.arange(8) % 6, torch.rand(8, 5, 2))
    teacher = outputs(128)
    plain = equation(Recipe(phi="softmax", alpha=1))(*args, Targets(teacher, None))
    squared = equation(Recipe(phi="softmax", alpha=1), temperature_squared=True)(*args, Targets(teacher, None))
    assert torch.isclose(squared["soft"], 9 * plain["soft"])
    assert torch.equal(squared["softmax"], plain["softmax"])


def test_alignment_loss_is_the_squared_distance_of_ten_coordinates() -> None:
    student, points = outputs(64), torch.rand(8, 5, 2)
    terms = equation(Recipe(phi="landmarks"))(student, torch.zeros(8), points, Targets(None, None))
    assert torch.isclose(terms["loss"], 100 * (student.landmarks - points).square().sum((1, 2)).mean())  # type: ignore[operator]


def test_terms_of_weight_0_are_not_computed_and_have_no_parameters() -> None:
    loss = equation(Recipe(phi="softmax", alpha=0, beta=0))
    assert not list(loss.parameters())
    terms = loss(outputs(64), torch.arange(8) % 6, torch.rand(8, 5, 2), Targets(None, None))
    assert list(terms) == ["softmax", "loss"]


def test_gradients_reach_the_student_and_the_projector_and_never_the_teacher() -> None:
    torch.manual_seed(0)
    student = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32), classes=4)
    teacher = FaceNetwork(NetworkParams(architecture="resnet50", divisor=16), classes=4)
    loss = Equation5(Recipe(phi="softmax", alpha=1, beta=1), EQUATION, student, teacher)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    said = teacher(images)
    terms = loss(student(images), torch.arange(4), torch.zeros(4, 5, 2), Targets(said, said))
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())
    assert sum(p.grad is not None for p in student.parameters()) == len(list(student.parameters()))
    assert all(p.grad is None for p in teacher.parameters())


def test_psi_without_a_teacher_is_refused() -> None:
    student = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32))
    with pytest.raises(ValueError, match="needs a teacher"):
        Equation5(Recipe(phi="none", beta=1), EQUATION, student, None)
