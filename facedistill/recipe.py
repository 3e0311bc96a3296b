"""What an experiment is: a choice of the parts of Equation 5 and of the starting weights. Needs no torch to be read."""

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
"""What teacher weighting logs: the mean of μ, and the share of samples with μ under 1."""
WHOLE_BATCH = ("rkd", "cckd")
"""The built-in Ψ that compare samples with each other: one value of a whole batch."""
COLUMNS = (
    "step",
    "epoch",
    "learning_rate",
    "loss",
    "soft",
    *WEIGHTING,
    *(term for phi in PHI.values() for term in phi),
)
"""Names that the curves have columns of already, whatever Ψ is."""


@params
class Recipe:
    """One experiment: a choice of Φ, α, β and Ψ, and of the weights that it starts from.

    phi, psi: a built-in name, or `module:attribute` for one of the user's own.
    weighting: k of the teacher weighting, Φ + μ·(α·H + β·Ψ) sample by sample; None for μ = 1.
    classifier: the student's own, or the soft teacher's class centres, copied before training and frozen (ProxylessKD).
    start: the recipe, RECIPE of the same group or GROUP/RECIPE, that gives the first weights; None for random ones.
    rate: which of `rates`; by default `scratch` from random weights and `initialised` from any others.
    step: whether it is only a step on the way to another recipe: trained, and neither evaluated nor shown.
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
            raise ValueError("phi: none without an alpha or a beta trains nothing; name a Φ, or weigh a term")
        for name in filter(is_outside, (self.phi, self.psi)):
            if (own := attribute(name)) in COLUMNS or attribute(self.phi) == attribute(self.psi):
                raise ValueError(f"{own!r} is a column of the learning curves already; give {name} another name")
        if self.weighting is None:
            return
        if not self.learns_classes:
            raise ValueError(f"weighting compares how well two know the label, which phi: {self.phi} never teaches")
        if self.beta > 0 and self.psi in WHOLE_BATCH:
            raise ValueError(f"weighting is by sample, and psi: {self.psi} is one value of a whole batch")

    @property
    def rate_name(self) -> str:
        """The one of `rates` in params.yaml that trains it."""
        return self.rate or ("initialised" if self.start else "scratch")

    @property
    def margin_softmax(self) -> bool:
        """Whether Φ is a built-in margin on angles, which takes a cosine classifier."""
        return self.phi in MARGIN_SOFTMAX

    @property
    def learns_classes(self) -> bool:
        """Whether Φ holds the classifier against the labels."""
        return is_outside(self.phi) or self.margin_softmax or "softmax" in PHI[self.phi]

    @property
    def outside(self) -> tuple[str, ...]:
        """The names of the user's own that it uses."""
        return tuple(name for name in (self.phi, self.psi if self.beta > 0 else "") if is_outside(name))

    @property
    def phi_terms(self) -> tuple[str, ...]:
        """What the learning curves call the terms of Φ."""
        return (attribute(self.phi),) if is_outside(self.phi) else PHI[self.phi]

    @property
    def psi_term(self) -> str:
        """What the learning curves call Ψ."""
        return attribute(self.psi)

    @property
    def needs_identity(self) -> bool:
        """Whether the network has a classifier: trained, trained through, or inherited."""
        return (
            self.learns_classes
            or self.alpha > 0
            or (self.beta > 0 and self.psi == "logits")
            or self.classifier == "teacher"
        )

    @property
    def needs_teacher(self) -> bool:
        """Whether any teacher takes part. Without one it is a control."""
        return self.needs_soft_teacher or self.beta > 0 or self.classifier == "teacher"

    @property
    def needs_soft_teacher(self) -> bool:
        """Whether the soft teacher is asked about each batch."""
        return self.alpha > 0 or self.weighting is not None
