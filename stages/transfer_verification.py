"""Transfer to verification (Equation 9): the triplet loss, alone or with softmax, + α·H + β·‖K_S − K_T‖².

P_T^τ is the classification teacher's for the triplet loss alone (Table 4), and that of the verification teacher's own
classifier beside softmax (Table 5); K_T is the verification teacher's.
"""

from __future__ import annotations

from facedistill import grid
from stages.common import run
from stages.transfer import parser, transfer


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--task", required=True, choices=["triplet", "triplet_softmax"])
    args = arguments.parse_args()
    soft = args.task if args.task == "triplet_softmax" else "classification"
    transfer(args.task, args, grid.teacher(soft), grid.teacher(args.task))


if __name__ == "__main__":
    run(main)
