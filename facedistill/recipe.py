"""A recipe: the parts of Equation 5 that an experiment uses, and its starting weights. Importing it needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from facedistill.outside import OrOutside, attribute, is_outside
from facedistill.params import params

Margin = Literal["arcface", "cosface"]
MARGIN_SOFTMAX: tuple[Margin, ...] = get_args(Margin)
PhiName = Literal["none", "softmax", Margin, "landmarks", "triplet", "triplet_softmax"]
PsiName = Literal["hidden", "normalised", "embedding", "logits", "hint", "attention", "rkd", "cckd"]
Phi = Annotated[str, AfterValidator(OrOutside(get_args(PhiName)))]
Psi = Annotated[str, AfterValidator(OrOutside(get_args(PsiName)))]

PHI: dict[str, tuple[str, ...]] = {
    "none": (),
    "softmax": ("softmax",),
    "arcface": ("arcface",),
    "cosface": ("cosface",),
    "landmarks": ("landmarks",),
    "triplet": ("triplet",),
    "triplet_softmax": ("triplet", "softmax"),
}
"""The terms of each built-in Φ."""
WEIGHTING = ("mu", "mu_below_1")
"""The values that teacher weighting logs: the mean of μ, and the share of samples with μ < 1."""
MAPS = ("hint", "attention")
"""The built-in Ψ that compare feature maps."""
WHOLE_BATCH = ("rkd", "cckd")
"""The built-in Ψ that compare samples with each other, and so give one value for a whole batch."""
COLUMNS = (
    "step",
    "epoch",
    "learning_rate",
    "loss",
    "soft",
    *WEIGHTING,
    *(term for phi in PHI.values() for term in phi),
)
"""The columns that the learning curves always have. The user's own Φ and Ψ need other names."""


@params
class Recipe:
    """One experiment: Φ + α·H + β·Ψ, and the weights that it starts from.

    phi: the loss of the task, Φ: a built-in name, or `module:attribute` for the user's own.
    alpha: α, the weight of H, the soft target.
    beta: β, the weight of Ψ.
    psi: what Ψ compares: a built-in name, or `module:attribute` for the user's own.
    weighting: k of the teacher weighting, Φ + μ·(α·H + β·Ψ) for each sample; None for μ = 1.
    classifier: `own` trains a classifier of the student; `teacher` copies the soft teacher's class centres and freezes
        them (ProxylessKD).
    start: the recipe whose weights are the first ones: RECIPE of the same group, or GROUP/RECIPE; None for random ones.
    rate: a key of `rates`; None for `scratch` from random weights and `initialised` from a `start`.
    step: whether the recipe only prepares another one. Then it is trained, but neither evaluated nor shown.
    """

    phi: Phi
    alpha: Annotated[float, Field(ge=0)] = 0
    beta: Annotated[float, Field(ge=0)] = 0
    psi: Psi = "hidden"
    weighting: Annotated[float, Field(gt=0, le=1)] | None = None
    classifier: Literal["own", "teacher"] = "own"
    start: str | None = None
    rate: Literal["scratch", "initialised"] | None = None
    step: bool = False

    def __post_init__(self) -> None:
        if self.phi == "none" and not self.alpha and not self.beta:
            raise ValueError("phi: none without an alpha or a beta trains nothing; set one of the three")
        for name in filter(is_outside, (self.phi, self.psi)):
            if (own := attribute(name)) in COLUMNS or attribute(self.phi) == attribute(self.psi):
                raise ValueError(f"{own!r} is a column of the learning curves already; give {name} another name")
        if self.weighting is None:
            return
        if not self.learns_classes:
            raise ValueError(
                f"weighting compares how well student and teacher know a label, but phi: {self.phi} teaches no labels; "
                "remove weighting, or take another phi"
            )
        if self.beta > 0 and self.psi in WHOLE_BATCH:
            raise ValueError(
                f"weighting needs a value for each sample, but psi: {self.psi} gives one for a whole batch; remove "
                "weighting, or take another psi"
            )

    @property
    def rate_name(self) -> str:
        """The key of `rates` in params.yaml that the recipe trains with."""
        return self.rate or ("initialised" if self.start else "scratch")

    @property
    def margin_softmax(self) -> bool:
        """Whether Φ is a built-in margin softmax, which needs a cosine classifier."""
        return self.phi in MARGIN_SOFTMAX

    @property
    def learns_classes(self) -> bool:
        """Whether Φ compares the classifier's output with the labels."""
        return is_outside(self.phi) or self.margin_softmax or "softmax" in PHI[self.phi]

    @property
    def compares_classes_alone(self) -> bool:
        """Whether only a built-in Φ uses the classifier's output, so that a sample of the classes is enough."""
        psi = self.beta > 0 and self.psi == "logits"
        return self.learns_classes and not (psi or self.needs_soft_teacher or self.outside)

    @property
    def outside(self) -> tuple[str, ...]:
        """The names of the user's own code among phi and psi; psi counts only if beta > 0."""
        return tuple(name for name in (self.phi, self.psi if self.beta > 0 else "") if is_outside(name))

    @property
    def phi_terms(self) -> tuple[str, ...]:
        """The names of the terms of Φ in the learning curves."""
        return (attribute(self.phi),) if is_outside(self.phi) else PHI[self.phi]

    @property
    def psi_term(self) -> str:
        """The name of Ψ in the learning curves."""
        return attribute(self.psi)

    @property
    def needs_identity(self) -> bool:
        """Whether the network has a classifier: one that is trained, that passes gradients on, or that is copied."""
        return (
            self.learns_classes
            or self.alpha > 0
            or (self.beta > 0 and self.psi == "logits")
            or self.classifier == "teacher"
        )

    @property
    def needs_teacher(self) -> bool:
        """Whether the recipe uses any teacher. A recipe without one is a control."""
        return self.needs_soft_teacher or self.beta > 0 or self.classifier == "teacher"

    @property
    def needs_soft_teacher(self) -> bool:
        """Whether the soft teacher predicts every batch."""
        return self.alpha > 0 or self.weighting is not None
