"""Ψ per sample: every comparison of layers against naive loops in float64, and its identities."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from facedistill.learning.losses.attention import attention
from facedistill.learning.losses.embedding import Embedding
from facedistill.learning.losses.hidden import Hidden
from facedistill.learning.losses.hint import Hint
from facedistill.learning.losses.logits import Logits
from facedistill.learning.losses.maps import middle, same_resolution
from facedistill.learning.losses.normalised import Normalised
from facedistill.learning.networks import Outputs
from facedistill.params import ParamsError

Psi = Callable[[Outputs, Outputs], Tensor]


def outputs(width: int, maps: tuple[tuple[int, int], ...] = ((4, 3),), samples: int = 6) -> Outputs:
    """float64 layers of random values; maps: (channels, side)."""
    generator = torch.Generator().manual_seed(width)

    def normal(*shape: int) -> Tensor:
        return torch.randn(samples, *shape, dtype=torch.float64, generator=generator)

    return Outputs(normal(width), tuple(normal(c, side, side) for c, side in maps), normal(5), None)


def squares(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)))


def unit(row: np.ndarray) -> np.ndarray:
    return row / math.sqrt(sum(x * x for x in row))


def projected(term: Hidden | Normalised, student: Outputs) -> list[np.ndarray]:
    weight, bias = (p.detach().numpy() for p in term.projector.parameters())
    return [weight @ k + bias for k in student.hidden.numpy()]


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 5)])
def test_hidden_compares_the_projected_student_with_the_teacher(reduction: str, divisor: int) -> None:
    term, student, teacher = Hidden(3, 5, reduction).double(), outputs(3), outputs(5)  # type: ignore[arg-type]
    expected = [squares(s, t) / divisor for s, t in zip(projected(term, student), teacher.hidden.numpy(), strict=True)]
    assert term(student, teacher).tolist() == pytest.approx(expected)


def test_normalised_is_2_minus_2_cos_to_the_teacher() -> None:
    term, student, teacher = Normalised(3, 5).double(), outputs(3), outputs(5)
    found = term(student, teacher).tolist()
    pairs = list(zip(projected(term, student), teacher.hidden.numpy(), strict=True))
    assert found == pytest.approx([squares(unit(s), unit(t)) for s, t in pairs])
    assert found == pytest.approx([2 - 2 * (s @ t) / math.sqrt((s @ s) * (t @ t)) for s, t in pairs])
    assert term(student, teacher._replace(hidden=9 * teacher.hidden)).tolist() == pytest.approx(found)


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 5)])
def test_embedding_has_no_projector(reduction: str, divisor: int) -> None:
    term, student, teacher = Embedding(5, 5, reduction), outputs(5), outputs(5)  # type: ignore[arg-type]
    student = student._replace(hidden=student.hidden.flip(0))
    pairs = zip(student.hidden.numpy(), teacher.hidden.numpy(), strict=True)
    assert term(student, teacher).tolist() == pytest.approx([squares(s, t) / divisor for s, t in pairs])
    assert not list(term.parameters())


def test_embeddings_of_two_widths_are_refused_and_both_are_named() -> None:
    with pytest.raises(ParamsError, match=r"student's hidden layer is 256 wide and the teacher's 512"):
        Embedding(256, 512, "sum")


def test_logits_is_the_squared_distance_of_raw_logits() -> None:
    student, teacher = outputs(3), outputs(5)
    pairs = zip(student.logits.numpy(), teacher.logits.numpy(), strict=True)  # type: ignore[union-attr]
    assert Logits("sum")(student, teacher).tolist() == pytest.approx([squares(s, t) for s, t in pairs])


def block_means(image: np.ndarray, side: int) -> np.ndarray:
    """(…, h, w) averaged down to side x side, in blocks of whole pixels."""
    step = image.shape[-1] // side
    corners = [(i * step, j * step) for i in range(side) for j in range(side)]
    cells = [image[..., y : y + step, x : x + step].mean((-2, -1)) for y, x in corners]
    return np.stack(cells, axis=-1).reshape(*image.shape[:-2], side, side)


@pytest.mark.parametrize(("ours", "theirs"), [(2, 2), (4, 2), (2, 4)])
def test_hint_widens_the_middle_map_pixel_by_pixel_at_the_lower_resolution(ours: int, theirs: int) -> None:
    term = Hint(4, 6)
    student, teacher = outputs(3, ((2, 8), (4, ours), (5, 1))), outputs(5, ((3, 8), (6, theirs), (7, 2), (9, 1)))
    weight, bias = (p.detach().double().numpy() for p in term.regressor.parameters())
    s, t = (block_means(o.maps[1].numpy(), 2) for o in (student, teacher))
    widened = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], s) + bias[:, None, None]
    expected = [squares(a, b) / b.size for a, b in zip(widened, t, strict=True)]
    assert term(student, teacher).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("maps", "expected"), [("a", "a"), ("ab", "a"), ("abc", "b"), ("abcd", "b"), ("abcde", "c")])
def test_the_middle_map_is_at_half_of_the_depth(maps: str, expected: str) -> None:
    assert middle(maps) == expected


def test_resolutions_meet_at_the_smaller_side_of_each_axis() -> None:
    a, b = same_resolution(torch.rand(2, 3, 6, 4), torch.rand(2, 5, 3, 8))
    assert (a.shape, b.shape) == ((2, 3, 3, 4), (2, 5, 3, 4))


def naive_attention(student: list[np.ndarray], teacher: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(len(student[0]))
    for s, t in zip(student[::-1], teacher[::-1], strict=False):
        side = min(s.shape[-1], t.shape[-1])
        for n in range(len(s)):
            looks = [block_means(sum(c**2 for c in m[n]) / len(m[n]), side).ravel() for m in (s, t)]
            total[n] += squares(unit(looks[0]), unit(looks[1]))
    return total


def arrays(layers: Outputs) -> list[np.ndarray]:
    return [maps.detach().double().numpy() for maps in layers.maps]


STUDENT_MAPS, TEACHER_MAPS = ((3, 4), (5, 2)), ((2, 9), (6, 8), (4, 2))


def test_attention_pairs_maps_from_the_last_backwards() -> None:
    student, teacher = outputs(3, STUDENT_MAPS), outputs(5, TEACHER_MAPS)
    for ours, theirs in ((student, teacher), (teacher, student)):
        expected = naive_attention(arrays(ours), arrays(theirs))
        assert attention(ours, theirs).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_attention_sees_neither_the_scale_nor_the_order_of_channels() -> None:
    student, teacher = outputs(3, STUDENT_MAPS), outputs(5, TEACHER_MAPS)
    changed = student._replace(maps=tuple(-7 * maps.flip(1) for maps in student.maps))
    assert torch.allclose(attention(changed, teacher), attention(student, teacher), rtol=1e-5)
    assert attention(changed, student).abs().max() < 1e-9


def test_the_gradient_of_attention_is_that_of_the_loop() -> None:
    student, teacher = outputs(3, STUDENT_MAPS), outputs(5, TEACHER_MAPS)
    leaves = tuple(maps.requires_grad_() for maps in student.maps)
    attention(student, teacher).sum().backward()  # type: ignore[no-untyped-call]
    for leaf, index in ((leaves[0], (0, 1, 2, 3)), (leaves[1], (5, 4, 1, 0))):
        shifted = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                leaf[index] += step
                shifted.append(naive_attention(arrays(student), arrays(teacher)).sum())
                leaf[index] -= step
        assert leaf.grad is not None
        assert leaf.grad[index].item() == pytest.approx((shifted[0] - shifted[1]) / 2e-5, rel=1e-3, abs=1e-6)


def test_maps_in_bf16_are_compared_in_float32() -> None:
    student, teacher = (
        layers._replace(maps=tuple(maps.bfloat16() for maps in layers.maps))
        for layers in (outputs(3, ((4, 3),)), outputs(5, ((6, 3),)))
    )
    for psi in (attention, Hint(4, 6)):
        assert psi(student, teacher).dtype == torch.float32
    assert attention(student, teacher).tolist() == pytest.approx(naive_attention(arrays(student), arrays(teacher)))


PSI: dict[str, tuple[Callable[[], Psi], str]] = {
    "hidden": (lambda: Hidden(5, 7, "sum"), "hidden"),
    "normalised": (lambda: Normalised(5, 7), "hidden"),
    "embedding": (lambda: Embedding(5, 5, "sum"), "hidden"),
    "logits": (lambda: Logits("sum"), "logits"),
}


@pytest.mark.parametrize("name", PSI)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    build, layer = PSI[name]
    psi = build()
    if isinstance(psi, torch.nn.Module):
        psi = psi.double()
    student, teacher = outputs(5), outputs(7)
    if name == "embedding":
        teacher = teacher._replace(hidden=teacher.hidden[:, :5])
    leaf = getattr(student, layer).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: psi(student._replace(**{layer: values}), teacher), leaf)
