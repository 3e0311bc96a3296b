"""Equation 5, in one place: L = Φ(W_S, y) + α·H(P_T^τ, P_S^τ) + β·Ψ(K_S, K_T)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from facedistill.learning.losses.arcface import arcface
from facedistill.learning.losses.attention import attention
from facedistill.learning.losses.cckd import cckd
from facedistill.learning.losses.cosface import cosface
from facedistill.learning.losses.embedding import Embedding
from facedistill.learning.losses.hidden import Hidden
from facedistill.learning.losses.hint import Hint
from facedistill.learning.losses.logits import Logits
from facedistill.learning.losses.maps import middle
from facedistill.learning.losses.normalised import Normalised
from facedistill.learning.losses.rkd import rkd
from facedistill.learning.losses.soft import soft_cross_entropy
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.losses.triplet import triplet_loss
from facedistill.learning.losses.weighting import teacher_weighting
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.parameters import EquationParams
from facedistill.recipe import Recipe


class Targets(NamedTuple):
    """What the frozen teachers say of a batch; None where the recipe does not ask.

    soft: the teacher whose classifier gives P_T^τ. hidden: the teacher whose layers Ψ compares with.
    """

    soft: Outputs | None
    hidden: Outputs | None


class Equation5(nn.Module):
    """The loss of one recipe. A term of weight 0 is neither computed nor asked of a teacher.

    Its own parameters are the projectors of Ψ: trained with the student, thrown away after. Under data parallelism each
    process holds an equal shard of the batch, and `gather` returns the rows of all shards: the mean of the processes'
    losses is the loss of the full batch.

    Raises ValueError where Ψ has no teacher or a margin softmax no cosine classifier, and ParamsError where Ψ cannot
    compare the two networks.
    """

    def __init__(
        self,
        recipe: Recipe,
        equation: EquationParams,
        student: FaceNetwork,
        teacher: FaceNetwork | None,
        gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    ) -> None:
        super().__init__()
        self.recipe, self.equation, self.scale, self.gather = recipe, equation, student.scale, gather
        if recipe.margin_softmax and not student.scale:
            raise ValueError(f"phi = {recipe.phi}: needs a student with a cosine classifier, of scale > 0")
        self.psi: Callable[[Outputs, Outputs], Tensor] | None = None
        if recipe.beta > 0:
            if teacher is None:
                raise ValueError(f"beta = {recipe.beta}: Ψ needs a teacher")
            s, t = student.trunk, teacher.trunk
            match recipe.psi:
                case "hidden":
                    self.psi = Hidden(s.width, t.width, equation.reduction)
                case "normalised":
                    self.psi = Normalised(s.width, t.width)
                case "embedding":
                    self.psi = Embedding(s.width, t.width, equation.reduction)
                case "logits":
                    self.psi = Logits(equation.reduction)
                case "hint":
                    self.psi = Hint(middle(s.map_widths), middle(t.map_widths))
                case "attention":
                    self.psi = attention
                case "rkd":
                    self.psi = partial(self._relations, rkd)
                case "cckd":
                    self.psi = partial(self._relations, cckd)

    def forward(self, student: Outputs, labels: Tensor, landmarks: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The terms by name, unweighted, and their weighted sum as `loss`; all scalars.

        With teacher weighting also `mu`, its mean, and `mu_below_1`, the share of samples whose teacher is held back.
        labels: (N,) identities. landmarks: (N, 5, 2) in units of the crop's side.
        """
        terms = self._phi(student, labels, landmarks)
        total = [*terms.values()]
        mu: Tensor | float = 1.0
        if self.recipe.weighting is not None:
            strength = self.recipe.weighting
            mu = teacher_weighting(_logits(student), _logits(targets.soft), labels, strength, self.gather)
            terms |= {"mu": mu.mean(), "mu_below_1": (mu < 1).float().mean()}
        for name, weight, term in self._guidance(student, targets):
            terms[name] = term.mean()
            total.append(weight * (mu * term).mean())
        terms["loss"] = sum(total[1:], start=total[0])
        return terms

    def _phi(self, student: Outputs, labels: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Φ, the loss of the task itself, term by term."""
        terms = {}
        if "triplet" in self.recipe.phi:
            terms["triplet"] = triplet_loss(self.gather(student.hidden), self.gather(labels), self.equation.margin)
        if "softmax" in self.recipe.phi:
            terms["softmax"] = F.cross_entropy(_logits(student), labels)
        if self.recipe.phi == "arcface":
            terms["arcface"] = arcface(_logits(student), labels, self.scale, self.equation.angular_margin)
        if self.recipe.phi == "cosface":
            terms["cosface"] = cosface(_logits(student), labels, self.scale, self.equation.cosine_margin)
        if self.recipe.phi == "landmarks":
            assert student.landmarks is not None
            unit = self.equation.landmark_unit
            terms["landmarks"] = squared_distance(student.landmarks / unit, landmarks / unit).mean()
        return terms

    def _relations(self, psi: Callable[[Outputs, Outputs], Tensor], student: Outputs, teacher: Outputs) -> Tensor:
        """A Ψ between the K of all samples of the whole batch, a scalar."""
        whole = (outputs._replace(hidden=self.gather(outputs.hidden)) for outputs in (student, teacher))
        return psi(*whole)

    def _guidance(self, student: Outputs, targets: Targets) -> Iterator[tuple[str, float, Tensor]]:
        """What the teachers add: name, weight, and the term, (N,) or, where it is one of the whole batch, a scalar."""
        if self.recipe.alpha > 0:
            tau = self.equation.temperature
            soft = soft_cross_entropy(_logits(student), _logits(targets.soft), tau)
            yield "soft", self.recipe.alpha, soft * tau**2 if self.equation.temperature_squared else soft
        if self.psi is not None:
            assert targets.hidden is not None
            yield self.recipe.psi, self.recipe.beta, self.psi(student, targets.hidden)


def _logits(outputs: Outputs | None) -> Tensor:
    assert outputs is not None
    assert outputs.logits is not None
    return outputs.logits
