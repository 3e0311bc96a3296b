"""What the stage scripts share: how a stage ends when something is wrong, and the parameters of all training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from facedistill.params import load

if TYPE_CHECKING:
    from facedistill.learning.cell import Plan


def run(main: Callable[[], None]) -> None:
    """Run a stage; an error meant for its user is printed without a traceback, and the stage fails."""
    try:
        main()
    except (ValueError, OSError, RuntimeError) as error:
        if type(error).__module__.startswith("facedistill"):
            sys.exit(f"{type(error).__name__}: {error}")
        raise


def training_params(plans: Sequence[Plan], rates: str = "rates") -> dict[str, Any]:
    """The keyword arguments of `train_cells` that every training stage has, for plans of one rate.

    rates: the section of params.yaml that holds the optimisation of each rate.
    """
    from facedistill.learning.batches import LoaderParams
    from facedistill.learning.cell import TrainingParams
    from facedistill.learning.loop import OptimisationParams
    from facedistill.learning.losses.equation5 import EquationParams

    return {
        "plans": plans,
        "optimisation": load(OptimisationParams, f"{rates}.{plans[0].recipe.rate_name}"),
        "equation": load(EquationParams, "equation"),
        "training": load(TrainingParams, "training"),
        "loader": load(LoaderParams, "loader"),
        "seed": load(int, "seed"),
    }
