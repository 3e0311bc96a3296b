"""H, ‖·‖² and the triplet loss against naive loops in float64, and Equation 5 against its terms added by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from equation import EQUATION

from facedistill.learning.losses.arcface import arcface
from facedistill.learning.losses.cosface import cosface
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.losses.soft import soft_cross_entropy
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.losses.triplet import triplet_loss
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.parameters import NetworkParams
from facedistill.recipe import PhiName, PsiName, Recipe


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return np.asarray(powers / powers.sum())


def test_soft_cross_entropy_is_the_sum_of_equation_1() -> None:
    student, teacher = rng().normal(size=(2, 5, 7)) * 4
    expected = []
    for a_s, a_t in zip(student, teacher, strict=True):
        p_t, p_s = softmax(a_t / 3), softmax(a_s / 3)
        expected.append(-sum(p * math.log(q) for p, q in zip(p_t, p_s, strict=True)))
    found = soft_cross_entropy(torch.tensor(student), torch.tensor(teacher), temperature=3)
    assert found.tolist() == pytest.approx(expected)


def test_soft_cross_entropy_is_least_where_the_student_is_the_teacher() -> None:
    teacher = torch.tensor(rng().normal(size=(4, 6)))
    student = teacher.clone().requires_grad_()
    loss = soft_cross_entropy(student, teacher, temperature=3)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-12
    assert (soft_cross_entropy(student + torch.eye(4, 6), teacher, 3) > loss).all()


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 6)])
def test_squared_distance_sums_or_averages_the_dimensions_of_a_sample(reduction: str, divisor: int) -> None:
    a, b = rng().normal(size=(2, 4, 3, 2))
    expected = [
        sum((a[i, j, k] - b[i, j, k]) ** 2 for j in range(3) for k in range(2)) / divisor for i in range(len(a))
    ]
    found = squared_distance(torch.tensor(a), torch.tensor(b), reduction)  # type: ignore[arg-type]
    assert found.tolist() == pytest.approx(expected)


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


@pytest.mark.parametrize("seed", range(8))
def test_the_gradient_of_the_triplet_loss_is_the_one_of_its_triplets(seed: int) -> None:
    """The reference picks each triplet by a loop, and PyTorch differentiates their distances alone."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(12, 5)) + generator.normal(size=(4, 5)).repeat(3, axis=0)
    labels = generator.permutation(np.repeat([3, 1, 8, 2], 3))
    hidden, again = (torch.tensor(values, requires_grad=True) for _ in range(2))
    unit = torch.nn.functional.normalize(again)
    terms = []
    for a in range(12):
        to = (unit[a] - unit).square().sum(1)
        strangers = to[torch.tensor(labels != labels[a])]
        for p in np.flatnonzero(labels == labels[a]):
            if p != a:
                semi_hard = strangers[(strangers > to[p]) & (strangers < to[p] + 0.4)]
                terms.append((to[p] - (semi_hard if len(semi_hard) else strangers).min() + 0.4).clamp(min=0))
    torch.stack(terms).mean().backward()  # type: ignore[no-untyped-call]
    triplet_loss(hidden, torch.tensor(labels), margin=0.4).backward()  # type: ignore[no-untyped-call]
    assert hidden.grad is not None
    assert again.grad is not None
    torch.testing.assert_close(hidden.grad, again.grad, rtol=1e-9, atol=1e-12)


def test_triplet_loss_without_a_pair_is_no_number() -> None:
    """A run then stops and shows the batch. `IdentityBatches` gives no such batch."""
    assert triplet_loss(torch.randn(3, 4), torch.tensor([0, 1, 2]), margin=0.4).isnan()


def outputs(width: int, classes: int = 6) -> Outputs:
    """Of a ResNet-50/k with this hidden layer: what it gives for eight crops of 64 px, each layer a leaf."""
    maps = tuple(torch.randn(8, width // 2**n, 16 // 2 ** (3 - n), 16 // 2 ** (3 - n)) for n in (3, 2, 1, 0))
    leaves = Outputs(torch.randn(8, width), maps, torch.randn(8, classes), torch.rand(8, 5, 2))
    for leaf in tensors(leaves):
        leaf.requires_grad_()
    return leaves


def tensors(layers: Outputs) -> Iterator[torch.Tensor]:
    yield from (layers.hidden, *layers.maps, layers.logits, layers.landmarks)  # type: ignore[misc]


def equation(recipe: Recipe, widths: tuple[int, int] = (64, 128), **changes: object) -> Equation5:
    student, teacher = (
        FaceNetwork(
            NetworkParams(architecture="resnet50", divisor=2048 // width),
            classes=6,
            landmarks=True,
            scale=EQUATION.scale if recipe.margin_softmax else 0.0,
        )
        for width in widths
    )
    return Equation5(recipe, replace(EQUATION, **changes), student, teacher and teacher.trunk)  # type: ignore[arg-type]


def test_equation_5_is_the_weighted_sum_of_its_terms() -> None:
    labels, points = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), torch.rand(8, 5, 2)
    student, teacher = outputs(64), outputs(128)
    loss = equation(Recipe(phi="triplet_softmax", alpha=0.7, beta=0.2))
    terms = loss(student, labels, points, Targets(soft=teacher, hidden=teacher))
    assert list(terms) == ["triplet", "softmax", "soft", "hidden", "loss"]
    expected = terms["triplet"] + terms["softmax"] + 0.7 * terms["soft"] + 0.2 * terms["hidden"]
    assert torch.isclose(terms["loss"], expected)
    assert torch.isclose(terms["soft"], soft_cross_entropy(student.logits, teacher.logits, 3).mean())  # type: ignore[arg-type]


def test_margins_and_their_scale_are_those_of_the_parameters_and_the_network() -> None:
    student, labels = outputs(64), torch.arange(8) % 6
    assert student.logits is not None
    args = (student._replace(logits=16 * torch.tanh(student.logits)), labels, torch.zeros(8, 5, 2), Targets(None, None))
    found = equation(Recipe(phi="arcface"))(*args)
    assert torch.isclose(found["loss"], arcface(args[0].logits, labels, 16, 0.5).mean())  # type: ignore[arg-type]
    found = equation(Recipe(phi="cosface"))(*args)
    assert torch.isclose(found["loss"], cosface(args[0].logits, labels, 16, 0.35).mean())  # type: ignore[arg-type]


@pytest.mark.parametrize("phi", ["softmax", "arcface", "cosface"])
def test_crops_without_a_name_take_part_in_h_and_psi_and_add_nothing_to_phi(phi: PhiName) -> None:
    labels, points = torch.tensor([0, -1, 1, 2, -1, 3, 4, 5]), torch.zeros(8, 5, 2)
    student, teacher = outputs(64), outputs(128)
    loss = equation(Recipe(phi=phi, alpha=1, beta=1))
    terms = loss(student, labels, points, Targets(teacher, teacher))
    known = labels >= 0
    rows = Outputs(student.hidden[known], (), student.logits[known], None)  # type: ignore[index]
    alone = equation(Recipe(phi=phi))(rows, labels[known], points[known], Targets(None, None))
    assert torch.isclose(terms[phi], alone[phi] * 6 / 8)
    everybody = loss(student, labels.clamp(min=0), points, Targets(teacher, teacher))
    assert terms["soft"] == everybody["soft"]
    terms[phi].backward()
    gradient = student.logits.grad  # type: ignore[union-attr]
    assert gradient is not None
    assert not gradient[~known].any()
    assert gradient[known].any(1).all()


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


@pytest.mark.parametrize("psi", get_args(PsiName))
def test_gradients_of_psi_reach_the_student_and_the_projector_and_never_the_teacher(psi: PsiName) -> None:
    width = 64 if psi == "embedding" else 128
    student, teacher = outputs(64), outputs(width)
    loss = equation(Recipe(phi="none", beta=0.5, psi=psi), widths=(64, width))
    terms = loss(student, torch.arange(8) % 6, torch.zeros(8, 5, 2), Targets(teacher, teacher))
    assert list(terms) == [psi, "loss"]
    assert torch.isclose(terms["loss"], 0.5 * terms[psi])
    terms["loss"].backward()
    assert all(leaf.grad is None for leaf in tensors(teacher))
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())
    assert bool(list(loss.parameters())) == (psi in ("hidden", "normalised", "hint"))
    compared: dict[str, Sequence[torch.Tensor | None]]
    compared = {"logits": [student.logits], "hint": [student.maps[1]], "attention": student.maps}
    reached = [leaf for leaf in tensors(student) if leaf.grad is not None and leaf.grad.abs().sum() > 0]
    assert [id(leaf) for leaf in reached] == [id(leaf) for leaf in compared.get(psi, [student.hidden])]


@pytest.mark.parametrize("phi", get_args(PhiName))
def test_gradients_of_phi_and_h_reach_the_student_and_never_the_teacher(phi: PhiName) -> None:
    student, teacher = outputs(64), outputs(128)
    args = (student, torch.arange(8) // 2, torch.zeros(8, 5, 2), Targets(teacher, None))
    terms = equation(Recipe(phi=phi, alpha=1))(*args)
    others: dict[str, list[torch.Tensor | None]]
    others = {"landmarks": [student.landmarks], "triplet": [student.hidden], "none": []}
    own = others.get(phi, [student.logits])
    for term, layers in (("loss", [*own, student.logits]), ("soft", [student.logits])):
        found = torch.autograd.grad(terms[term], layers, retain_graph=True)  # type: ignore[arg-type]
        assert all(grad.abs().sum() > 0 for grad in found)
    terms["loss"].backward()
    assert all(leaf.grad is None for leaf in tensors(teacher))


def test_a_step_through_networks_moves_every_weight_of_the_student() -> None:
    torch.manual_seed(0)
    student = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32), classes=4)
    teacher = FaceNetwork(NetworkParams(architecture="resnet50", divisor=16), classes=4)
    loss = Equation5(Recipe(phi="softmax", alpha=1, beta=1), EQUATION, student, teacher.trunk)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    said = teacher(images)
    loss(student(images), torch.arange(4), torch.zeros(4, 5, 2), Targets(said, said))["loss"].backward()
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_psi_without_a_teacher_is_refused() -> None:
    student = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32))
    with pytest.raises(ValueError, match="needs a teacher"):
        Equation5(Recipe(phi="none", beta=1), EQUATION, student, None)


def test_a_margin_without_a_cosine_classifier_is_refused() -> None:
    student = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32), classes=6)
    with pytest.raises(ValueError, match=r"arcface: needs .* scale > 0"):
        Equation5(Recipe(phi="arcface"), EQUATION, student, None)


@pytest.mark.parametrize(
    ("recipe", "classifier"),
    [
        (Recipe(phi="none", beta=1), False),
        (Recipe(phi="landmarks"), False),
        (Recipe(phi="arcface"), True),
        (Recipe(phi="triplet_softmax"), True),
        (Recipe(phi="none", alpha=1), True),
        (Recipe(phi="none", beta=1, psi="logits"), True),
        (Recipe(phi="none", beta=1, psi="embedding", classifier="teacher"), True),
    ],
)
def test_a_recipe_says_whether_it_needs_a_classifier(recipe: Recipe, classifier: bool) -> None:
    assert recipe.needs_identity == classifier
