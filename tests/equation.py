"""The parameters of Equation 5 that the tests of losses and training share."""

from __future__ import annotations

from facedistill.learning.parameters import EquationParams

EQUATION = EquationParams(
    temperature=3,
    temperature_squared=False,
    margin=0.4,
    scale=16,
    angular_margin=0.5,
    cosine_margin=0.35,
    landmark_unit=0.1,
    reduction="sum",
)
