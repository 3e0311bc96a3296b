"""Every Ψ by its name in params.yaml, and the functions that make a Ψ or the user's own Φ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from facedistill.learning.losses.attention import attention
from facedistill.learning.losses.cckd import cckd
from facedistill.learning.losses.embedding import Embedding
from facedistill.learning.losses.hidden import Hidden
from facedistill.learning.losses.hint import Hint
from facedistill.learning.losses.logits import Logits
from facedistill.learning.losses.maps import middle
from facedistill.learning.losses.normalised import Normalised
from facedistill.learning.losses.rkd import rkd
from facedistill.learning.networks import Outputs
from facedistill.learning.networks.trunk import Embedder
from facedistill.learning.parameters import EquationParams
from facedistill.outside import find
from facedistill.recipe import PsiName

Psi = Callable[[Outputs, Outputs], Tensor]
"""A function of the outputs of student and teacher. It returns (N,), or a scalar."""

Phi = Callable[[Outputs, Tensor], Tensor]
"""A function of the student's outputs and the labels, (N,). It returns (N,), or a scalar."""

PSI: dict[PsiName, Callable[[Embedder, Embedder, EquationParams], Psi]] = {
    "hidden": lambda student, teacher, equation: Hidden(student.width, teacher.width, equation.reduction),
    "normalised": lambda student, teacher, _: Normalised(student.width, teacher.width),
    "embedding": lambda student, teacher, equation: Embedding(student.width, teacher.width, equation.reduction),
    "logits": lambda _student, _teacher, equation: Logits(equation.reduction),
    "hint": lambda student, teacher, _: Hint(middle(student.map_widths), middle(teacher.map_widths)),
    "attention": lambda *_: attention,
    "rkd": lambda *_: rkd,
    "cckd": lambda *_: cckd,
}


def build_psi(name: str, student: Embedder, teacher: Embedder, equation: EquationParams) -> Psi:
    """Make a Ψ for these trunks. The user's own class is called with (student, teacher); a function is used as it is.

    Raises ParamsError if Ψ cannot compare the two, or if the user's own is not found.
    """
    if name in PSI:
        return PSI[name](student, teacher, equation)
    found: Any = find(name)
    psi: Psi = found(student, teacher) if isinstance(found, type) else found
    return psi


def build_phi(name: str, equation: EquationParams) -> Phi:
    """Make the user's own Φ. A class is called with (equation); a function is used as it is.

    Raises ParamsError if it is not found.
    """
    found: Any = find(name)
    phi: Phi = found(equation) if isinstance(found, type) else found
    return phi
