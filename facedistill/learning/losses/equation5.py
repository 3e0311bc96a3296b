"""Equation 5, in one place: L = Φ(W_S, y) + α·H(P_T^τ, P_S^τ) + β·Ψ(K_S, K_T)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from facedistill.learning.losses.arcface import arcface
from facedistill.learning.losses.cosface import cosface
from facedistill.learning.losses.registry import Phi, Psi, build_phi, build_psi
from facedistill.learning.losses.soft import soft_cross_entropy
from facedistill.learning.losses.squared import squared_distance
from facedistill.learning.losses.triplet import triplet_loss
from facedistill.learning.losses.weighting import teacher_weighting
from facedistill.learning.negatives import Negatives
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.networks.trunk import Embedder
from facedistill.learning.parameters import EquationParams
from facedistill.outside import is_outside
from facedistill.recipe import Recipe


class Targets(NamedTuple):
    """The outputs of the frozen teachers for a batch.

    soft: the teacher whose classifier gives P_T^τ; None if the recipe does not use it.
    hidden: the teacher whose layers Ψ compares with; None if the recipe does not use it.
    """

    soft: Outputs | None
    hidden: Outputs | None


class Equation5(nn.Module):
    """The loss of one recipe. A term of weight 0 is not computed and needs no teacher.

    teacher: the trunk of the teacher that Ψ compares with; None for a recipe without Ψ.
    seed: of the sample of classes in each step.

    Ψ may have parameters (projectors), and so may the user's own Φ. They are trained with the student and then thrown
    away. Under data parallelism each process holds an equal shard of the batch, and `gather` returns the rows of all
    shards: the mean of the processes' losses is the loss of the full batch.

    Raises ValueError if Ψ has no teacher or a margin softmax no cosine classifier. Raises ParamsError if Ψ cannot
    compare the two networks, or if the user's own Ψ or Φ is not found.
    """

    def __init__(
        self,
        recipe: Recipe,
        equation: EquationParams,
        student: FaceNetwork,
        teacher: Embedder | None,
        gather: Callable[[Tensor], Tensor] = lambda rows: rows,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.recipe, self.equation, self.scale, self.gather = recipe, equation, student.scale, gather
        # Only the user's own Φ is made here. The built-in ones are functions with different arguments.
        self.phi: Phi | None = build_phi(recipe.phi, equation) if is_outside(recipe.phi) else None
        if (recipe.margin_softmax or getattr(self.phi, "margin_softmax", False)) and not student.scale:
            raise ValueError(f"phi = {recipe.phi}: needs a student with a cosine classifier, of scale > 0")
        self.negatives: Negatives | None = None
        if equation.negatives < 1 and student.identity and recipe.compares_classes_alone:
            rows = len(student.identity.weight)
            self.negatives = Negatives(student.columns, rows, equation.negatives, seed, gather)
        self.psi: Psi | None = None
        if recipe.beta > 0:
            if teacher is None:
                raise ValueError(f"beta = {recipe.beta}: Ψ needs a teacher")
            self.psi = build_psi(recipe.psi, student.trunk, teacher, equation)

    def forward(self, student: Outputs, labels: Tensor, landmarks: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The terms by name, unweighted, and their weighted sum as `loss`; all scalars.

        With teacher weighting there are also `mu`, the mean of μ, and `mu_below_1`, the share of samples with μ < 1.

        labels: (N,) identities; −1 for a crop without a name. Such a crop adds 0 to a Φ on labels, and takes part in H
            and Ψ.
        landmarks: (N, 5, 2) in units of the crop's side.
        """
        terms = {term: self._phi(term, student, labels, landmarks) for term in self.recipe.phi_terms}
        # L = Φ + mean(μ·(α·H + β·Ψ)) over the batch, term by term; μ = 1 without teacher weighting.
        loss = [*terms.values()]
        mu: Tensor | float = 1.0
        if self.recipe.weighting is not None:
            strength = self.recipe.weighting
            both = _logits(student), _logits(targets.soft)
            mu = teacher_weighting(*both, labels, strength, self.gather, student.columns)
            terms |= {"mu": mu.mean(), "mu_below_1": (mu < 1).float().mean()}
        if self.recipe.alpha > 0:
            h = self._soft(student, targets.soft)
            terms["soft"] = h.mean()
            loss.append(self.recipe.alpha * (mu * h).mean())
        if self.psi is not None:
            psi = self.compare(student, targets.hidden)
            terms[self.recipe.psi_term] = psi.mean()
            loss.append(self.recipe.beta * (mu * psi).mean())
        terms["loss"] = sum(loss[1:], start=loss[0])
        return terms

    def compare(self, student: Outputs, teacher: Outputs | None) -> Tensor:
        """Ψ, unweighted: (N,), or a scalar. A Ψ of the whole batch gets only K, of all samples."""
        assert self.psi is not None
        assert teacher is not None
        if getattr(self.psi, "whole_batch", False):
            student, teacher = (Outputs(self.gather(said.hidden), (), None, None) for said in (student, teacher))
        return self.psi(student, teacher)

    def teach(self, student: Outputs, labels: Tensor) -> Tensor:
        """The user's own Φ: (N,), or a scalar. A Φ of the whole batch gets K, logits and labels of all samples.

        labels: as `of_phi` gives them; a Φ sees class 0 for a sample without a name.
        """
        assert self.phi is not None
        if getattr(self.phi, "whole_batch", False):
            student = Outputs(self.gather(student.hidden), (), self.gather(_logits(student)), None)
        return self.phi(student, labels.clamp(min=0))

    def of_phi(self, labels: Tensor) -> Tensor:
        """The labels of the samples that the user's own Φ sees: of this process, or of the whole batch."""
        return self.gather(labels) if getattr(self.phi, "whole_batch", False) else labels

    def _phi(self, term: str, student: Outputs, labels: Tensor, landmarks: Tensor) -> Tensor:
        """The term of Φ with this name, a scalar."""
        match term:
            case "softmax" | "arcface" | "cosface":
                return self._classify(term, student, labels).mean()
            case "triplet":
                return triplet_loss(self.gather(student.hidden), self.gather(labels), self.equation.margin)
            case "landmarks":
                assert student.landmarks is not None
                unit = self.equation.landmark_unit
                return squared_distance(student.landmarks / unit, landmarks / unit).mean()
            case _:
                seen = self.of_phi(labels)
                return _of_known(self.teach(student, seen), seen)

    def _classify(self, term: str, student: Outputs, labels: Tensor) -> Tensor:
        """A softmax loss of each sample, (N,); 0 for samples without a name."""
        logits, columns = _logits(student), student.columns
        match term:
            case "arcface":
                return arcface(logits, labels, self.scale, self.equation.angular_margin, columns)
            case "cosface":
                return cosface(logits, labels, self.scale, self.equation.cosine_margin, columns)
        return columns.cross_entropy(logits, labels)

    def _soft(self, student: Outputs, teacher: Outputs | None) -> Tensor:
        """H of each sample, (N,), times τ² if `temperature_squared` is set."""
        tau = self.equation.temperature
        h = soft_cross_entropy(_logits(student), _logits(teacher), tau, student.columns)
        return h * tau**2 if self.equation.temperature_squared else h


def _of_known(values: Tensor, labels: Tensor) -> Tensor:
    """The mean over the batch of the values of each sample, (N,), with 0 for samples without a name. A scalar stays."""
    return torch.where(labels >= 0, values, 0).mean() if values.shape else values


def _logits(outputs: Outputs | None) -> Tensor:
    assert outputs is not None
    assert outputs.logits is not None
    return outputs.logits
