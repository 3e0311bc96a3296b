"""μ: its definition per sample, its limits, and its place in Equation 5."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from equation import EQUATION
from torch import Tensor

from facedistill.learning import model_files
from facedistill.learning.batches import as_batch
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.losses.weighting import EPSILON, teacher_weighting
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.parameters import NetworkParams
from facedistill.learning.teachers import Guide, Teachers
from facedistill.params import ParamsError, check
from facedistill.recipe import Recipe


def hard(row: np.ndarray, label: int) -> float:
    return math.log(sum(math.exp(a - row[label]) for a in row))


def naive(student: np.ndarray, teacher: np.ndarray, labels: np.ndarray, k: float) -> list[float]:
    w = [hard(t, y) / (hard(s, y) + EPSILON) for s, t, y in zip(student, teacher, labels, strict=True)]
    return [1 - k / max(w) * x if x > 1 else 1.0 for x in w]


def logits(seed: int, samples: int = 32) -> Tensor:
    return 3 * torch.randn(samples, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(32) % 5


@pytest.mark.parametrize("k", [0.3, 1.0])
def test_mu_is_the_formula_sample_by_sample(k: float) -> None:
    student, teacher = logits(0), logits(1)
    found = teacher_weighting(student, teacher, LABELS, k)
    assert found.tolist() == pytest.approx(naive(student.numpy(), teacher.numpy(), LABELS.numpy(), k))
    assert 0 < (found < 1).float().mean() < 1
    assert found.min().item() == pytest.approx(1 - k)
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_sample_without_a_name_has_its_full_weight_and_changes_no_other() -> None:
    student, teacher, labels = logits(0), logits(1), LABELS.clone()
    labels[::4] = -1
    known = labels >= 0
    found = teacher_weighting(student, teacher, labels, 0.5)
    assert found[~known].tolist() == [1] * 8
    alone = naive(student[known].numpy(), teacher[known].numpy(), labels[known].numpy(), 0.5)
    assert found[known].tolist() == pytest.approx(alone)


def test_mu_is_1_where_the_teacher_is_the_surer_and_falls_as_it_gets_worse() -> None:
    # Logits (a, 0): the student's is 0, and the teacher's falls from sample to sample.
    teacher = torch.stack([torch.linspace(4, -4, 9), torch.zeros(9)], dim=1)
    mu = teacher_weighting(torch.zeros(9, 2), teacher, torch.zeros(9, dtype=torch.int64), 1.0)
    assert mu[:5].tolist() == [1] * 5
    assert (mu[6:] < mu[5:-1]).all()
    assert mu[5] < 1
    assert mu[8] == 0


def test_mu_survives_certainty() -> None:
    certain = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    right, wrong = torch.tensor([0, 1]), torch.tensor([1, 0])
    assert teacher_weighting(certain, certain, right, 1.0).tolist() == [1, 1]
    assert teacher_weighting(certain, -certain, right, 0.5).tolist() == pytest.approx([0.5, 0.5])
    assert teacher_weighting(certain, certain, wrong, 1.0).tolist() == [1, 1]


def term(recipe: Recipe) -> Equation5:
    student, teacher = (
        FaceNetwork(NetworkParams(architecture="resnet50", divisor=32), classes=5, scale=scale)
        for scale in (EQUATION.scale if recipe.margin_softmax else 0.0, 0.0)
    )
    return Equation5(recipe, EQUATION, student, teacher.trunk)


def outputs(seed: int) -> Outputs:
    hidden = torch.randn(32, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return Outputs(hidden.requires_grad_(), (), logits(seed).requires_grad_(), None)


def test_mu_weighs_both_teacher_terms_of_a_sample_and_neither_phi_nor_the_gradient() -> None:
    student, teacher = outputs(0), outputs(1)
    assert student.logits is not None
    assert teacher.logits is not None
    loss = term(Recipe(phi="softmax", alpha=0.7, beta=0.2, psi="embedding", weighting=0.8))
    terms = loss(student, LABELS, torch.zeros(32, 5, 2), Targets(teacher, teacher))
    assert list(terms) == ["softmax", "mu", "mu_below_1", "soft", "embedding", "loss"]

    mu = torch.tensor(
        naive(student.logits.detach().numpy(), teacher.logits.detach().numpy(), LABELS.numpy(), 0.8),
        dtype=torch.float64,
    )
    soft = -((teacher.logits / 3).softmax(1).detach() * (student.logits / 3).log_softmax(1)).sum(1)
    embedding = (student.hidden - teacher.hidden.detach()).square().sum(1)
    expected = F.cross_entropy(student.logits, LABELS) + sum(mu * (0.7 * soft + 0.2 * embedding)) / 32
    assert terms["loss"].item() == pytest.approx(expected.item())
    assert terms["mu"].item() == pytest.approx(mu.mean().item())
    assert terms["mu_below_1"].item() == pytest.approx(np.mean([m < 1 for m in mu]))
    assert terms["soft"].item() == pytest.approx(soft.mean().item())

    leaves = [student.hidden, student.logits]
    found = torch.autograd.grad(terms["loss"], leaves, retain_graph=True)
    wanted = torch.autograd.grad(expected, leaves)
    assert all(torch.allclose(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("phi", ["softmax", "arcface", "cosface"])
def test_mu_asks_the_soft_teacher_also_where_alpha_is_0(phi: Any) -> None:
    recipe = Recipe(phi=phi, beta=1, psi="normalised", weighting=1)
    assert recipe.needs_soft_teacher
    assert not Recipe(phi=phi, beta=1, psi="normalised").needs_soft_teacher
    student = Outputs(torch.randn(32, 64), (), logits(0).float(), None)
    teacher = Outputs(torch.randn(32, 64), (), logits(1).float(), None)
    terms = term(recipe)(student, LABELS, torch.zeros(32, 5, 2), Targets(teacher, teacher))
    assert list(terms) == [phi, "mu", "mu_below_1", "normalised", "loss"]
    assert terms["mu"] < 1


@pytest.mark.parametrize("weighting", [None, 1.0])
def test_the_soft_teacher_is_loaded_for_mu_alone(tmp_path: Path, weighting: float | None) -> None:
    network = FaceNetwork(NetworkParams(architecture="resnet50", divisor=32), classes=5)
    model_files.save(tmp_path, network, {})
    guide, recipe = Guide(tmp_path), Recipe(phi="softmax", beta=1, weighting=weighting)
    images = np.zeros((2, 32, 32, 3), np.uint8)
    batch = as_batch(images, [0, 1], np.zeros((2, 5, 2)), [0, 1])
    targets = Teachers([recipe], guide, guide, torch.device("cpu"), "fp32")(batch)
    assert targets.hidden is not None
    assert targets.soft is (targets.hidden if weighting else None)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"phi": "softmax", "beta": 1, "psi": "rkd", "weighting": 1}, "for each sample, but psi: rkd"),
        ({"phi": "softmax", "beta": 1, "psi": "cckd", "weighting": 1}, "for each sample, but psi: cckd"),
        ({"phi": "none", "beta": 1, "weighting": 1}, "phi: none teaches no labels"),
        ({"phi": "landmarks", "alpha": 1, "weighting": 0.5}, "phi: landmarks teaches no labels"),
        ({"phi": "softmax", "alpha": 1, "weighting": 0}, "greater than 0"),
        ({"phi": "softmax", "alpha": 1, "weighting": 1.1}, "less than or equal to 1"),
    ],
)
def test_a_recipe_that_cannot_be_weighted_is_refused(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=f"recipes.mine.*{message}"):
        check(Recipe, recipe, "params.yaml: recipes.mine")
