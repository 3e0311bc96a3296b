"""Transfer to alignment (Equation 7): ‖R_S − y‖² + α·H + β·‖K_S − K_T‖².

The classification teacher gives P_T^τ, and the alignment teacher K_T.
"""

from __future__ import annotations

from facedistill.grid.cells import teacher
from stages.common import run_together, write_speed
from stages.transfer import models, parser, transfer


def main() -> None:
    args = parser(__doc__).parse_args()
    speed = transfer("alignment", args, teacher("classification"), teacher("alignment"))
    write_speed(models("alignment", args), speed)


if __name__ == "__main__":
    run_together(main)
