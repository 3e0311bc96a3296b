"""Transfer to verification (Equation 9): the triplet loss, alone or with softmax, + α·H + β·‖K_S − K_T‖².

For the triplet loss alone (Table 4) the classification teacher gives P_T^τ. With softmax (Table 5) the verification
teacher gives it, by its own classifier. K_T always comes from the verification teacher.
"""

from __future__ import annotations

from typing import Any

from facedistill.grid.cells import teacher
from stages.common import run_together, write_speed
from stages.transfer import models, parser, transfer


def main() -> None:
    args = parser(__doc__).parse_args()
    speed: dict[str, Any] = {}
    for task, soft_teacher in (("triplet", "classification"), ("triplet_softmax", "triplet_softmax")):
        speed |= transfer(task, args, teacher(soft_teacher), teacher(task))
    write_speed(models("triplet", args), speed)


if __name__ == "__main__":
    run_together(main)
