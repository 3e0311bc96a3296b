"""A softmax over a sample of the classes: which classes, and that its loss is that of a plain loop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from equation import EQUATION
from squares import SMALL
from torch import Tensor

from facedistill.learning.batches import as_batch
from facedistill.learning.columns import ALL
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.negatives import Negatives, drawn
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.networks.face_network import CosineHead
from facedistill.learning.parameters import EquationParams
from facedistill.learning.student import Objective
from facedistill.params import ParamsError, check
from facedistill.recipe import Recipe

WORD = 2**64 - 1


def splitmix(state: int) -> int:
    """The finaliser of SplitMix64, as its authors write it."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & WORD
    return state ^ (state >> 31)


def sample(classes: int, step: int, share: float, seed: int) -> set[int]:
    golden = 0x9E3779B97F4A7C15
    start = splitmix((splitmix(seed) + step * golden) & WORD)
    return {c for c in range(classes) if (splitmix((start + c * golden) & WORD) >> 11) / 2**53 < share}


def chosen(classes: int, step: int, share: float, seed: int) -> Tensor:
    return drawn(torch.arange(classes), torch.tensor(step), share, seed)


@pytest.mark.parametrize(("step", "seed"), [(0, 0), (1, 0), (0, 1), (123456, 2**40)])
def test_the_sample_is_that_of_the_published_generator(step: int, seed: int) -> None:
    assert set(chosen(1000, step, 0.3, seed).nonzero()[:, 0].tolist()) == sample(1000, step, 0.3, seed)


def test_each_class_is_drawn_by_itself_with_the_share_that_was_asked() -> None:
    rounds = torch.stack([chosen(2000, step, 0.1, 0) for step in range(100)]).double()
    # Six standard deviations of a binomial.
    assert abs(rounds.mean() - 0.1) < 6 * math.sqrt(0.09 / rounds.numel())
    assert (rounds.mean(0) - 0.1).abs().max() < 6 * math.sqrt(0.09 / 100)
    together = (rounds[:-1] * rounds[1:]).mean(), (rounds[:, :-1] * rounds[:, 1:]).mean()
    assert all(abs(pair - 0.01) < 6 * math.sqrt(0.01 / rounds.numel()) for pair in together)


def test_a_sampled_margin_is_that_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """ArcFace in float64, over the classes of the batch and the drawn ones, for two steps. A crop has no name."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.manual_seed(0)
    classes, labels = 40, torch.tensor([3, 17, -1, 3])
    head = CosineHead(5, classes, 16).double()
    network = FaceNetwork(replace(SMALL, embedding=5), classes, scale=16.0)
    network.identity = head
    loss = Equation5(Recipe("arcface"), replace(EQUATION, negatives=0.2), network, None, seed=7)
    assert loss.negatives is not None
    for step in range(2):
        hidden = torch.randn(4, 5, dtype=torch.float64)
        columns = loss.negatives(labels)
        logits = head(hidden)
        seen = sorted(sample(classes, step, 0.2, 7) | {3, 17})
        assert 2 < len(seen) < classes / 2
        expected = 0.0
        for row, label in enumerate(labels.tolist()):
            if label < 0:
                continue
            cosine = logits[row, label].item() / 16
            own = 16 * math.cos(math.acos(cosine) + 0.5)
            others = [math.exp(logits[row, c].item() - own) for c in seen if c != label]
            expected += math.log1p(sum(others)) / 4
        student = Outputs(hidden, (), columns.logits(head, hidden), None, columns)
        assert torch.allclose(columns.logits(head, hidden), logits[:, seen], rtol=1e-12)
        found = loss(student, labels, torch.zeros(1), Targets(None, None))
        assert found["loss"].item() == pytest.approx(expected, rel=1e-12)


def test_only_the_classes_of_the_sample_get_a_gradient() -> None:
    network = FaceNetwork(SMALL, classes=50)
    equation = Equation5(Recipe("softmax"), replace(EQUATION, negatives=0.1), network, None, seed=3)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8).numpy()
    batch = as_batch(images, [4, 9], torch.zeros(2, 5, 2), [0, 0])
    Objective(network, equation, "fp32")(batch, Targets(None, None))["loss"].backward()
    assert network.identity is not None
    assert network.identity.weight.grad is not None
    assert network.identity.bias.grad is not None
    touched = set(network.identity.bias.grad.nonzero()[:, 0].tolist())
    assert touched == sample(50, 0, 0.1, 3) | {4, 9}
    assert set(network.identity.weight.grad.any(1).nonzero()[:, 0].tolist()) == touched
    assert equation.state_dict()["negatives.steps"] == 1


@pytest.mark.parametrize(
    ("recipe", "alone"),
    [
        (Recipe("softmax"), True),
        (Recipe("triplet_softmax", beta=1, psi="hidden"), True),
        (Recipe("arcface", classifier="teacher"), True),
        (Recipe("softmax", alpha=1), False),
        (Recipe("softmax", beta=1, weighting=0.5), False),
        (Recipe("softmax", beta=1, psi="logits"), False),
        (Recipe("own_parts:smoothed"), False),
        (Recipe("softmax", beta=1, psi="own_parts:energy"), False),
        (Recipe("triplet", beta=1), False),
    ],
)
def test_a_recipe_that_needs_all_logits_compares_with_all_people(recipe: Recipe, alone: bool) -> None:
    assert recipe.compares_classes_alone == alone


def test_a_step_without_any_class_is_no_error() -> None:
    """A batch without names, and nobody drawn."""
    labels, head = torch.full((3,), -1), torch.nn.Linear(2, 4)
    columns = Negatives(ALL, 4, 1e-12, 0, lambda rows: rows)(labels)
    loss = columns.cross_entropy(columns.logits(head, torch.ones(3, 2)), labels)
    assert loss.tolist() == [0, 0, 0]
    loss.sum().backward()
    assert head.weight.grad is not None
    assert not head.weight.grad.any()


@pytest.mark.parametrize("share", [0, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    values = EQUATION.__dict__ | {"negatives": share}
    with pytest.raises(ParamsError, match="negatives"):
        check(EquationParams, values, "equation")
