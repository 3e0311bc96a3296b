"""Measure what each network costs: parameters, megabytes, multiply-adds, and time on one thread."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from facedistill.evaluation.cost import cost
from facedistill.files import write_json
from facedistill.grid.layout import TEACHER, Layout
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams, TaskParams, TeacherParams
from facedistill.params import load
from facedistill.paths import COST
from stages.common import network_params, run


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    side = load(TaskParams, "tasks.classification").input
    # The cost does not depend on weights, so random ones are enough, and one seed for each network.
    sections = {TEACHER: "teacher.network"}
    sections |= {student.name: f"students.{student.name}" for student in Layout.read().first.values()}
    networks = {name: network_params(section)[0] for name, section in sections.items()}
    costs = {
        name: asdict(cost(FaceNetwork(NetworkParams(network.architecture, network.divisor)).trunk, side))
        for name, network in networks.items()
    }
    teacher = load(TeacherParams, "teacher")
    if teacher.source == "onnx" and teacher.onnx:
        from facedistill.teacher.cost import onnx_cost

        costs[TEACHER] = onnx_cost(teacher.onnx)
    write_json(COST, costs)


if __name__ == "__main__":
    run(main)
