"""Equation 5, in one place: L = Φ(W_S, y) + α·H(P_T^τ, P_S^τ) + β·Ψ(K_S, K_T)."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from facedistill.learning.losses.hidden import Hidden
from facedistill.learning.losses.hint import Hint
from facedistill.learning.losses.logits import Logits
from facedistill.learning.losses.soft import soft_cross_entropy
from facedistill.learning.losses.squared import Reduction, squared_distance
from facedistill.learning.losses.triplet import triplet_loss
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.params import params

PhiName = Literal["none", "softmax", "landmarks", "triplet", "triplet_softmax"]
PsiName = Literal["hidden", "logits", "hint"]


@params
class Recipe:
    """One experiment: a choice of Φ, α, β and Ψ, and of the weights that it starts from.

    start: the model, of the same network, that gives the first weights; None for random ones.
    rate: which of `rates`; by default `scratch` from random weights and `initialised` from any others.
    """

    phi: PhiName
    alpha: Annotated[float, Field(ge=0)] = 0
    beta: Annotated[float, Field(ge=0)] = 0
    psi: PsiName = "hidden"
    start: str | None = None
    rate: Literal["scratch", "initialised"] | None = None

    @property
    def rate_name(self) -> str:
        """The one of `rates` in params.yaml that trains it."""
        return self.rate or ("initialised" if self.start else "scratch")

    @property
    def needs_identity(self) -> bool:
        """Whether the network is trained through its classifier."""
        return "softmax" in self.phi or self.alpha > 0 or (self.beta > 0 and self.psi == "logits")


@params
class EquationParams:
    """temperature: τ of Equation 1. temperature_squared: H times τ², as Hinton et al. do and the paper does not.

    XX"""

    temperature: Annotated[float, Field(gt=0)]
    temperature_squared: bool
    margin: Annotated[float, Field(gt=0)]
    landmark_unit: Annotated[float, Field(gt=0)]
    reduction: Reduction


class Targets(NamedTuple):
    """What the frozen teachers say of a batch; None where the recipe does not ask.

    soft: the teacher whose classifier gives P_T^τ. hidden: the teacher whose layers Ψ compares with.
    """

    soft: Outputs | None
    hidden: Outputs | None


class Equation5(nn.Module):
    """The loss of one recipe. A term of weight 0 is neither computed nor asked of a teacher.

    Its own parameters are the projectors of Ψ: trained with the student, thrown away after.
    """

    def __init__(
        self, recipe: Recipe, equation: EquationParams, student: FaceNetwork, teacher: FaceNetwork | None
    ) -> None:
        super().__init__()
        self.recipe, self.equation = recipe, equation
        self.psi: nn.Module | None = None
        if recipe.beta > 0:
            if teacher is None:
                raise ValueError(f"beta = {recipe.beta}: Ψ needs a teacher")
            s, t = student.trunk, teacher.trunk
            match recipe.psi:
                case "hidden":
                    self.psi = Hidden(s.width, t.width, equation.reduction)
                case "logits":
                    self.psi = Logits(equation.reduction)
                case "hint":
                    self.psi = Hint(s.middle_width, t.middle_width)

    def forward(self, student: Outputs, labels: Tensor, landmarks: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The terms by name, unweighted, and their weighted sum as `loss`; all scalars.

        labels: (N,) identities. landmarks: (N, 5, 2) in units of the crop's side.
        """
        terms = self._phi(student, labels, landmarks)
        total = [*terms.values()]
        if self.recipe.alpha > 0:
            assert student.logits is not None
            assert targets.soft is not None
            assert targets.soft.logits is not None
            tau = self.equation.temperature
            terms["soft"] = soft_cross_entropy(student.logits, targets.soft.logits, tau)
            if self.equation.temperature_squared:
                terms["soft"] = terms["soft"] * tau**2
            total.append(self.recipe.alpha * terms["soft"])
        if self.psi is not None:
            terms[self.recipe.psi] = self.psi(student, targets.hidden)
            total.append(self.recipe.beta * terms[self.recipe.psi])
        terms["loss"] = sum(total[1:], start=total[0])
        return terms

    def _phi(self, student: Outputs, labels: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Φ, the loss of the task itself, term by term."""
        terms = {}
        if "triplet" in self.recipe.phi:
            terms["triplet"] = triplet_loss(student.hidden, labels, self.equation.margin)
        if "softmax" in self.recipe.phi:
            assert student.logits is not None
            terms["softmax"] = F.cross_entropy(student.logits.float(), labels)
        if self.recipe.phi == "landmarks":
            assert student.landmarks is not None
            unit = self.equation.landmark_unit
            terms["landmarks"] = squared_distance(student.landmarks / unit, landmarks / unit, "sum")
        return terms
