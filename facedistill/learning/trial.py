"""A trial of the user's own code: it runs once on random crops, so that mistakes show before hours of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.learning.networks.registry import build_trunk
from facedistill.learning.networks.trunk import Features, Trunk
from facedistill.learning.parameters import EquationParams, NetworkParams
from facedistill.outside import find, told
from facedistill.params import ParamsError
from facedistill.recipe import Recipe

CROPS, PEOPLE = 6, 3

TRUNK = "a class of facedistill.learning.networks.trunk.Trunk, or a function, (embedding: int) -> Trunk"
PSI = (
    "a function (student: Outputs, teacher: Outputs) -> Tensor, or a class of it made by (student_trunk, teacher_trunk)"
)
PHI = "a function (student: Outputs, labels: Tensor) -> Tensor, or a class of it made by (equation)"

T = TypeVar("T")


def try_architecture(network: NetworkParams, side: int) -> None:
    """Raises ParamsError if the user's architecture gives no trunk, or one that cannot be trained or saved.

    side: the side of the crops, in pixels.
    """
    name = network.architecture
    with _trial(name, TRUNK):
        trunk: Any = _run(name, lambda: build_trunk(network))
        if not isinstance(trunk, Trunk):
            raise ParamsError(f"{name} gives {_shown(trunk)}; expected {TRUNK}")
        if side < trunk.smallest_side:
            raise ParamsError(f"{name} takes images of {trunk.smallest_side} px or more, but the input is {side}")
        images = 255 * torch.rand(CROPS, 3, side, side)
        found: Any = _run(name, lambda: trunk(images))
        if not isinstance(found, Features) or found.hidden.shape != (CROPS, trunk.width):
            raise ParamsError(f"{name} gives {_shown(found)} for K; expected ({CROPS}, {trunk.width}), its `width`")
        if network.embedding and trunk.width != network.embedding:
            raise ParamsError(
                f"{name}({network.embedding}) has a K of width {trunk.width}; expected {network.embedding}"
            )
        if (widths := tuple(maps.shape[1] for maps in found.maps)) != tuple(trunk.map_widths):
            raise ParamsError(f"{name} has maps of {widths} channels, but its map_widths say {trunk.map_widths}")
        if not found.hidden.isfinite().all():
            raise ParamsError(f"{name} gives a K with NaN or infinity for random crops")
        weights = [weight for weight in trunk.parameters() if weight.requires_grad]
        if not _reached(found.hidden, weights):
            raise ParamsError(f"{name}: no gradient reaches its weights; is something detached?")
        _run(name, lambda: safetensors.torch.save({k: t.contiguous() for k, t in trunk.state_dict().items()}))
        trunk.eval()
        folded = deepcopy(trunk)
        fold_batch_norm(folded)
        with torch.no_grad():
            expected, got = trunk(images).hidden, folded(images).hidden
        if not torch.allclose(expected, got, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
            raise ParamsError(
                f"{name}: a batch norm does not run right after the convolution that is declared before it, but a "
                "frozen network folds the two; declare layers in the order in which they run"
            )


def try_recipe(
    recipe: Recipe, equation: EquationParams, student: NetworkParams, teacher: NetworkParams, side: int, cosine: bool
) -> Iterator[str]:
    """Run a recipe's Φ and Ψ of the user's own for these two networks, and yield a message for each that is wrong.

    A message begins with the key, `phi` or `psi`.

    side: the side of the crops, in pixels.
    cosine: whether the classifiers are cosine classifiers.
    """
    for key, wanted in (("phi", PHI), ("psi", PSI)):
        name = getattr(recipe, key)
        if name not in recipe.outside:
            continue
        try:
            with _trial(name, wanted):
                alone = Recipe(name) if key == "phi" else Recipe("none", beta=1, psi=name)
                _try_term(alone, recipe, equation, student, teacher, side, equation.scale if cosine else 0.0)
        except ParamsError as error:
            yield f"{key}: {error}"


def _try_term(
    alone: Recipe,
    recipe: Recipe,
    equation: EquationParams,
    student: NetworkParams,
    teacher: NetworkParams,
    side: int,
    scale: float,
) -> None:
    """Raises ParamsError if the one term of `alone` is not a loss, or if `recipe` cannot weigh it."""
    (name,) = alone.outside
    if getattr(find(name), "margin_softmax", False) and not scale:
        raise ParamsError(
            f"{name} is a margin on cosines, but the classifiers of this task are linear; take the task arcface or "
            "cosface"
        )
    ours, said = _random(student, PEOPLE if recipe.needs_identity else 0, scale, side)
    theirs, heard = _random(teacher, PEOPLE, scale, side)
    labels = torch.arange(CROPS) % PEOPLE
    equation5 = _run(name, lambda: Equation5(alone, equation, ours, theirs.trunk))

    def term(rows: slice = slice(None)) -> Any:
        if alone.beta > 0:
            return equation5.compare(_rows(said, rows), _rows(heard, rows))
        return equation5.teach(_rows(said, rows), labels[rows])

    value = _run(name, term)
    if not isinstance(value, Tensor) or value.shape not in ((), (CROPS,)) or not value.is_floating_point():
        raise ParamsError(f"{name} gives {_shown(value)} for {CROPS} crops; expected ({CROPS},), or () for a scalar")
    if not value.isfinite().all():
        raise ParamsError(f"{name} gives NaN or infinity for random crops")
    layers = [layer for layer in (said.hidden, *said.maps, said.logits) if layer is not None]
    if not _reached(value, layers):
        raise ParamsError(f"{name}: no gradient reaches the student; is something detached?")
    whole = getattr(equation5.psi or equation5.phi, "whole_batch", False)
    if alone.beta > 0 and recipe.weighting is not None and (whole or not value.shape):
        raise ParamsError(f"weighting needs a value for each sample, but {name} gives one for a whole batch")
    if not whole and _run(name, lambda: _compares_samples(equation5, term)):
        raise ParamsError(
            f"{name} compares the samples of a batch with each other, but each of several processes has only a part of "
            "a batch; mark it with @whole_batch, of facedistill.learning.losses.whole_batch"
        )


def _compares_samples(equation5: Equation5, term: Callable[[slice], Tensor]) -> bool:
    """Whether the mean of a term over a batch differs from the mean over two halves.

    Batch norm and dropout are in evaluation mode.
    """
    equation5.eval()
    with torch.no_grad():
        once, again = (term(slice(None)).mean() for _ in range(2))
        try:
            halves = (term(slice(CROPS // 2)).mean() + term(slice(CROPS // 2, None)).mean()) / 2
        except Exception:
            return True
    # A term that draws random numbers differs anyway, so it is let through.
    return torch.equal(once, again) and not torch.allclose(once, halves, rtol=1e-3, atol=1e-9)


@contextmanager
def _trial(name: str, wanted: str) -> Iterator[None]:
    """Give each trial the same random numbers, and leave those of the caller untouched.

    Raises ParamsError if `name` is not callable.
    """
    try:
        found = find(name)
    except ParamsError as error:
        raise ParamsError(f"{error}; expected {wanted}") from error
    if not callable(found):
        raise ParamsError(f"{name} is {_shown(found)}; expected {wanted}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _run(name: str, call: Callable[[], T]) -> T:
    """Call the user's own code. Raises ParamsError for any error of it."""
    try:
        return call()
    except ParamsError:
        raise
    except Exception as error:
        raise ParamsError(f"{name} fails on {CROPS} random crops: {told(error)}") from error


def _reached(value: Tensor, leaves: Sequence[Tensor]) -> bool:
    """Whether a gradient of `value` reaches any of the leaves."""
    if not value.requires_grad:
        return False
    found = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
    return any(gradient is not None for gradient in found)


def _random(params: NetworkParams, classes: int, scale: float, side: int) -> tuple[FaceNetwork, Outputs]:
    """A network, and random outputs with its shapes for crops of `side` pixels. K and maps are not negative.

    The real outputs would not do, because an untrained network gives nearly the same for every crop.

    scale: the scale of cosine logits; 0 for a linear classifier.
    """
    network = FaceNetwork(params, classes, scale=scale)
    with torch.no_grad():
        shapes = network.trunk(torch.zeros(CROPS, 3, side, side))

    def leaf(like: Tensor) -> Tensor:
        return torch.randn(like.shape).abs().requires_grad_()

    logits = None
    if classes:
        values = torch.randn(CROPS, classes)
        logits = (scale * values.tanh() if scale else values).requires_grad_()
    return network, Outputs(leaf(shapes.hidden), tuple(map(leaf, shapes.maps)), logits, None)


def _rows(outputs: Outputs, rows: slice) -> Outputs:
    logits = None if outputs.logits is None else outputs.logits[rows]
    return Outputs(outputs.hidden[rows], tuple(layer[rows] for layer in outputs.maps), logits, None)


def _shown(value: Any) -> str:
    if isinstance(value, Features):
        return _shown(value.hidden)
    return (
        f"a tensor {tuple(value.shape)}, {value.dtype}"
        if isinstance(value, Tensor)
        else f"an object of type {type(value).__name__}"
    )
