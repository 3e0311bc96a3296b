"""Measure what each network costs: parameters, megabytes, multiply-adds, and time on one thread."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from facedistill.evaluation.cost import cost
from facedistill.files import write_json
from facedistill.grid import TEACHER
from facedistill.learning.cell import TaskParams
from facedistill.learning.networks import FaceNetwork, NetworkParams
from facedistill.params import load
from facedistill.paths import METRICS
from stages.common import run


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    side = load(TaskParams, "tasks.classification").input
    networks = {TEACHER: load(NetworkParams, "teacher.network")} | load(dict[str, NetworkParams], "students")
    # Weights have no part in it: random ones do.
    costs = {name: asdict(cost(FaceNetwork(network).trunk, side)) for name, network in networks.items()}
    write_json(METRICS / "cost.json", costs)


if __name__ == "__main__":
    run(main)
